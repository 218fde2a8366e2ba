"""A data set that is not the library's: one function that reads its annotations."""

import numpy as np
import pytest
from PIL import Image

from vidshift import cli
from vidshift.data import (
    View,
    annotations,
    open_split,
    register,
    train_batches,
)
from vidshift.data.annotations import Annotations, Clip, VideoDataset
from vidshift.data.sources.datasets import DATASETS
from vidshift.fit.sizing import known_classes


def read(source) -> Annotations:
    """Reads `list.txt`: a folder of frames and the number of its class a line."""
    lines = [line.split() for line in (source / "list.txt").read_text().splitlines()]
    clips = (
        Clip(name, source / name, ("train",), int(label), fps=4.0)
        for name, label in lines
    )
    return Annotations(tuple(clips), ("still", "moving"))


@pytest.fixture
def toy(tmp_path):
    register("toy", VideoDataset(read, ("train",), counts={"train": 5}, num_classes=2))
    source = tmp_path / "source"
    for number in range(2):
        (source / f"clip{number}").mkdir(parents=True)
        for frame in range(3):
            picture = Image.new("RGB", (16, 16), (100 * number, 0, 0))
            picture.save(source / f"clip{number}" / f"{frame}.png")
    (source / "list.txt").write_text("clip0 0\nclip1 1\n")
    yield source
    del annotations.DATASETS["toy"], DATASETS["toy"]


def test_a_data_set_is_prepared_opened_and_loaded(toy, tmp_path, capsys):
    args = ["toy", f"--source={toy}", f"--out={tmp_path}", "--storage=frames"]
    assert cli.run(["prepare", *args, "--workers=1"]) == 0
    says = "toy train: 2 clips; the annotations list 2, officially 5"
    assert says in capsys.readouterr().out
    split = open_split("toy", "train", data_dir=str(tmp_path))
    assert split.classes == ("still", "moving")
    view = View(num_frames=2, resize=16, crop=16)
    with train_batches(split, view, batch_size=2, seed=0, workers=0) as batches:
        batch = next(batches)
    red = batch["video"][..., 0].mean((1, 2, 3))
    np.testing.assert_allclose(red[np.argsort(batch["label"])], [0, 100], atol=3)
    assert known_classes()["toy"] == 2


def test_a_name_is_given_once(toy):
    with pytest.raises(ValueError, match="there is a dataset named 'toy' already"):
        register("toy", VideoDataset(read, ("train",)))
