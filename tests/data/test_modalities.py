"""Flow and differences of frames: what is decoded, flipped and normalised of them."""

import numpy as np
import pytest

from tests.data.preparation.test_prepare import own_videos, run
from tests.support.commands import finish, start_program
from vidshift.data.device.on_device import normalise
from vidshift.data.device.on_device import prepare as prepared_batch
from vidshift.data.loading.loader import eval_batches, train_batches
from vidshift.data.media import flow
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.prepared import Prepared
from vidshift.data.views.view import View
from vidshift.training.log import read_metrics

# The videos' class "left" has no class "right" beside it.
SIDES_ALONE = ["--mirror=left=left", "--mirror=到右 边=到右 边"]


def made_up_flow(frames):
    """A picture a pair of frames: x grows with the frame, y is 128 everywhere."""
    for index, frame in enumerate(frames):
        if index:
            x = np.full_like(frame, 20 * index)
            yield np.concatenate([x, np.full_like(frame, 128)])


@pytest.fixture
def flow_data(tmp_path, monkeypatch, here):
    monkeypatch.setattr(flow, "pictures", made_up_flow)
    monkeypatch.setattr(flow, "check_installed", lambda: None)
    source = own_videos(tmp_path / "own", clips=9)
    flags = ["--modality=flow", "--storage=frames", *SIDES_ALONE]
    assert run("folder", source, tmp_path, *flags) == 0
    return tmp_path


def opened(folder, modality="flow", stack=1):
    options = Prepared(modality=modality, stack=stack)
    return open_split("folder", "train", data_dir=str(folder), options=options)


def test_prepared_flow(flow_data):
    split = opened(flow_data, stack=3)
    assert split.channels == split.decoded_channels == 6
    record = split.source[0]
    frames = split.decode(record["video"], range(record["num_frames"]))
    assert frames.shape == (record["num_frames"], 32, 32, 6)
    x, y = frames[..., 0::2].mean((1, 2)), frames[..., 1::2].mean((1, 2))
    np.testing.assert_allclose(y, 128, atol=2)
    expected = 20 * (1 + np.arange(len(frames))[:, None] + np.arange(3))
    np.testing.assert_allclose(x, expected, atol=2)


def test_a_video_shorter_than_a_stack_cannot_be_decoded(flow_data):
    split = opened(flow_data, stack=50)
    with eval_batches(split, View(2, 32, 16), batch_size=4, workers=0) as batches:
        batch = next(batches)
    assert (batch["index"] == -1).all()
    assert batch["video"].shape == (4, 1, 2, 16, 16, 100)


@pytest.mark.parametrize("modality", ["flow", "rgb_diff"])
def test_batches(flow_data, modality):
    if modality == "rgb_diff":
        run("folder", flow_data / "own", flow_data, *SIDES_ALONE)
    split = opened(flow_data, modality, 2)
    with train_batches(
        split, View(2, 32, 16), batch_size=4, seed=1, workers=0
    ) as batches:
        batch = next(batches)
    assert batch["video"].shape == (4, 2, 16, 16, {"flow": 4, "rgb_diff": 9}[modality])
    clips, _ = prepared_batch(
        batch,
        flip_labels=split.flip_labels,
        modality=modality,
        mean=(0.5,) if modality == "flow" else (0.0,),
        std=(0.25,) if modality == "flow" else (1.0,),
    )
    assert clips.shape == (4, 2, 16, 16, split.channels)
    if modality == "rgb_diff":  # each frame is 10 levels above the one before
        np.testing.assert_allclose(clips.mean((2, 3)), 10 / 255, atol=4 / 255)


def test_what_moves_right_moves_left_in_the_mirror():
    video = np.zeros((2, 1, 4, 4, 4), np.uint8)
    video[..., 0::2], video[..., 1::2] = 200, 90
    video[:, :, :, 0] = 10
    batch = {"video": video, "label": np.int32([0, 1]), "flip": np.array([True, False])}
    flipped, labels = prepared_batch(
        batch, flip_labels=(1, 0), modality="flow", mean=(0.0,), std=(1 / 255,)
    )
    flipped = np.asarray(flipped).round()
    assert labels.tolist() == [1, 1]
    np.testing.assert_array_equal(flipped[1], video[1])
    np.testing.assert_array_equal(flipped[0, ..., :3, 0::2], 55)
    np.testing.assert_array_equal(flipped[0, ..., 3, 0::2], 245)
    np.testing.assert_array_equal(flipped[0, ..., :3, 1::2], 90)


def test_means_that_do_not_fit():
    with pytest.raises(ValueError, match="each of 2 channels.*got 3 and 3"):
        normalise(np.zeros((1, 1, 1, 2), np.uint8))


@pytest.mark.slow
def test_a_network_of_flow_trains(flow_data):
    flags = [
        "--config=configs/folder.py",
        f"--workdir={flow_data / 'run'}",
        f"--config.data.dir={flow_data}",
        "--config.model.backbone=resnet_tiny",
        "--config.data.options.modality=flow",
        "--config.data.options.stack=2",
        "--config.data.mean=(0.5,)",
        "--config.data.std=(0.226,)",
        "--config.data.resize=16",
        "--config.data.crop=16",
        "--config.data.num_frames=4",
        "--config.batch_size=4",
        "--config.eval_batch_size=4",
        "--config.optim.warmup_epochs=0",
        "--config.steps=3",
    ]
    finish(start_program("train.py", *flags))
    assert [x["kind"] for x in read_metrics(flow_data / "run")][-2:] == ["end", "test"]
    _, err = finish(
        start_program(
            "eval.py", f"--workdir={flow_data / 'run'}", "--video=tests/any.mp4"
        ),
        code=2,
    )
    assert "takes optical flow" in err
