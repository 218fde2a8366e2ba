"""`vidshift probe`: a table of networks' features on a small task."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from tests.support.runs_for_streams import write_run
from vidshift import cli
from vidshift.config import Config, DataConfig
from vidshift.data import Split, encode
from vidshift.evaluation.significance import wilson
from vidshift.probe import program
from vidshift.run import Run
from vidshift.tasks import MULTI_LABEL

CLASSES = ("dark", "bright", "red", "green")
COLOURS = ((50, 50, 50), (180, 180, 180), (160, 60, 60), (60, 160, 60))
CLIPS = {"train": 24, "validation": 12, "test": 24}


def split(name: str, classes=CLASSES) -> Split:
    """Noisy clips of a colour for each class, in memory."""
    rng = np.random.default_rng(len(name))
    records = []
    for number in range(CLIPS[name]):
        label = number % len(classes)
        noise = rng.normal(0, 25, (5, 24, 24, 3))
        frames = np.clip(COLOURS[label] + noise, 0, 255).astype(np.uint8)
        record = {"video": encode(frames), "id": f"{name} {number}", "label": label}
        records.append(record | {"num_frames": 5, "fps": 25.0})
    return Split(source=records, classes=classes)


@pytest.fixture(scope="module")
def splits():
    return {name: split(name) for name in CLIPS}


@pytest.fixture
def in_memory(splits, monkeypatch):
    monkeypatch.setattr(program, "open_split", lambda _, name, **__: splits[name])
    return splits


@pytest.fixture(scope="module")
def tsm(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("tsm"), classes=CLASSES)


def table(capsys, *arguments) -> dict:
    """-> the JSON line."""
    assert cli.run(["probe", *map(str, arguments), "--json", "--batch-size=8"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


def fails(capsys, *arguments) -> str:
    assert cli.run(["probe", *map(str, arguments), "--batch-size=8"]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    return line


def test_both_probes_beat_chance_and_say_the_same_again(
    tsm, in_memory, capsys, tmp_path
):
    found = table(capsys, tsm)
    assert [(row["run"], row["method"]) for row in found["rows"]] == [
        (str(tsm), "nearest neighbours"),
        (str(tsm), "linear probe"),
    ]
    for row in found["rows"]:
        assert row["network"] == "resnet_tiny/tsm" and row["clips"] == 24
        assert (row["low"], row["high"]) == wilson(row["right"], 24)
        assert row["low"] > 1 / len(CLASSES)
    # The files are those of `vidshift features`.
    (folder,) = (pathlib.Path(tsm) / "evaluation" / "probe").iterdir()
    described = json.loads((folder / "features.json").read_text())
    assert described["videos"]["test"]["labels"] == [n % 4 for n in range(24)]
    array = np.load(folder / "test.npy")
    assert array.shape == (24, 64) and array.dtype == np.float32
    written = (folder / "test.npy").stat().st_mtime_ns
    assert table(capsys, tsm) == found
    assert (folder / "test.npy").stat().st_mtime_ns == written
    # From new files too.
    assert table(capsys, tsm, "--out", tmp_path) == found


def test_a_network_by_name_has_the_weights_of_its_seed(
    tsm, in_memory, capsys, tmp_path, monkeypatch
):
    data = DataConfig(num_frames=4, resize=20, crop=16)
    config = Config(data=data)
    monkeypatch.setattr(program, "config_of", lambda options: config)
    flags = ("--out", tmp_path)
    found = table(capsys, "resnet_tiny/tsn", tsm, *flags)
    assert [row["network"] for row in found["rows"]] == ["resnet_tiny/tsn"] * 2 + [
        "resnet_tiny/tsm"
    ] * 2
    files = sorted(tmp_path.glob("resnet_tiny_tsn/*/test.npy"))
    first = np.load(files[0])
    config = dataclasses.replace(config, seed=1)
    table(capsys, "resnet_tiny/tsn", *flags)
    (other,) = set(tmp_path.glob("resnet_tiny_tsn/*/test.npy")) - set(files)
    assert not np.allclose(np.load(other), first)
    assert "has no folder: give --out" in fails(capsys, "resnet_tiny/tsn")


@pytest.mark.slow
def test_fine_tuning_is_a_training_from_the_run(run_dir, data_dir, capsys, tmp_path):
    flags = ("--out", tmp_path, "--data-dir", data_dir, "--fine-tune", "--epochs=0.5")
    found = table(capsys, run_dir, *flags)
    *_, tuned = found["rows"]
    assert (tuned["method"], tuned["clips"]) == ("fine-tuned", 30)
    assert tuned["settings"] == {"epochs": 0.5}
    (workdir,) = tmp_path.glob("*/fine-tuned-ordered_motion")
    lines = list(map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines()))
    kinds = [line["kind"] for line in lines]
    assert kinds.count("train") == round(0.5 * 96 / 16) and kinds[-1] == "test"
    assert tuned["right"] == round(lines[-1]["top1"] * 30)
    described = Run.open(workdir).description.config
    assert described.init.startswith(str(run_dir)) and described.epochs == 0.5


# Of ml_collections.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_errors_say_what_is_missing(tsm, splits, capsys, monkeypatch, tmp_path):
    one = {name: dataclasses.replace(s, classes=("all",)) for name, s in splits.items()}
    unlike = dataclasses.replace(splits["train"], modality="flow", stack=5)
    several = dataclasses.replace(splits["train"], task=MULTI_LABEL)
    alike = [{**record, "label": 0} for record in splits["train"].source]
    alike = dataclasses.replace(splits["train"], source=alike)
    cases = {
        "a probe needs two classes at least": one,
        "takes rgb of 1, and the data are flow of 5": splits | {"train": unlike},
        "has several labels a clip": splits | {"train": several},
        "the training clips are all of one class": splits | {"train": alike},
    }
    for message, given in cases.items():
        monkeypatch.setattr(program, "open_split", lambda _, name, **__: given[name])  # noqa: B023
        assert message in fails(capsys, tsm, "--out", tmp_path)
    without = ("--config=tiny", "--config.data.train_split=")
    assert "a probe needs a train split" in fails(capsys, tsm, *without)
    assert "--config.seed=1 needs --config" in fails(capsys, tsm, "--config.seed=1")
    assert "is no run or checkpoint" in fails(capsys, "nowhere")
