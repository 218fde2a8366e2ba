"""`arrow_of_time` from videos to records, by the command, and what of it can be learned."""

import csv
import hashlib
import json

import jax
import numpy as np
import pytest
from PIL import Image

import vidshift
from tests.support import moving_square
from vidshift import cli
from vidshift.data import leaks
from vidshift.data.annotations.arrow_of_time import read
from vidshift.data.media import video
from vidshift.data.preparation import build
from vidshift.data.records import builder as records
from vidshift.data.sources.arrow_of_time import LABELS, ArrowOfTime, open_split
from vidshift.data.sources.datasets import open_split as open_any
from vidshift.data.views.sampling import segment_indices
from vidshift.fit import aot, sizing
from vidshift.recipes import small
from vidshift.tasks import SINGLE_LABEL, MultiTask
from vidshift.training.log import read_metrics

FLAGS = ("--frames=4", "--side=32", "--stride=0.3", "--workers=1")


def one_process(work, items, *, workers):
    del workers
    return ((item, work(item)) for item in items)


def prepare(source, out, *flags, code=0):
    argv = ["prepare", "arrow_of_time", f"--source={source}", f"--out={out}"]
    assert cli.run([*argv, *FLAGS, *flags]) == code


def folder(out):
    return out / "arrow_of_time" / "keyframes" / records.VERSION


def shards(out) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder(out).glob("*.array_record-*-of-?????")
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(2):
        moving_square.write(folder / f"{seed}" / "clip.mp4", 30.0, seed=seed)
    # It stops.
    pictures = moving_square.frames(4.0, seed=2)
    pictures[24:] = pictures[23]
    (folder / "still.mp4").write_bytes(moving_square.encode(pictures, fps=12.0))
    return folder


@pytest.fixture(scope="module")
def out(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "results", one_process)
        patch.chdir(out)
        prepare(source, out)
    return out


def opened(out, split="test", label="direction"):
    return open_split(split, data_dir=str(out), options=ArrowOfTime(label=label))


def test_backward_clips_are_forward_ones_reversed(out):
    split = opened(out)
    clips = {}
    for row in range(len(split.source)):
        record = split.source[row]
        assert record["fps"] == 12.0 and record["num_frames"] == 4
        clips[record["id"]] = split.decode(record["video"], range(4)), record["label"]
    for name, (frames, label) in clips.items():
        assert label == name.endswith("backward")
        if label == 0:
            other, _ = clips[name.replace("forward", "backward")]
            np.testing.assert_array_equal(frames[::-1], other)


def test_forward_is_the_order_of_the_video(out, source):
    whole = video.decode(source / "0" / "clip.mp4", range(361))
    split = opened(out)
    for row in range(12):
        record = split.source[row]
        name, _, how = record["id"].partition(" at ")
        start, speed = float(how.split()[0]), int(how.split()[2][0])
        assert name == "0/clip.mp4"
        numbers = np.round((start + np.arange(4) * speed / 12) * 12).astype(int)
        shown = split.decode(record["video"], range(4)).astype(float)
        if record["label"]:
            shown = shown[::-1]
        for picture, number in zip(shown, numbers, strict=True):
            small = Image.fromarray(whole[number]).resize((32, 32))
            assert np.abs(picture - np.asarray(small)).mean() < 5


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_labels(out, split):
    splits = {label: opened(out, split, label) for label in LABELS}
    read = {
        label: [found.source[row] for row in range(len(found.source))]
        for label, found in splits.items()
    }
    of = {label: [it["label"] for it in clips] for label, clips in read.items()}
    assert of["both"] == list(zip(of["speed"], of["direction"], strict=True))
    assert of["both"].count((0, 0)) * 6 == len(of["both"])
    assert {of["both"].count(pair) for pair in of["both"]} == {len(of["both"]) // 6}
    names = splits["place"].classes
    assert len(names) == 9
    for clip in read["place"]:
        video = clip["id"].partition(" at ")[0]
        assert names[clip["label"]].startswith(f"{video}, third ")


def test_kinds_of_label(out):
    direction, speed, both, place = (opened(out, label=label) for label in LABELS)
    assert direction.classes == ("forward", "backward")
    assert (direction.flip_labels, direction.reversed_labels) == ((0, 1), (1, 0))
    assert speed.classes == ("1x", "2x", "4x") and speed.task == SINGLE_LABEL
    assert speed.reversed_labels == speed.flip_labels == (0, 1, 2)
    assert both.task == MultiTask({"speed": 3, "direction": 2})
    assert both.classes == speed.classes + direction.classes
    assert place.reversed_labels == tuple(range(9))
    # As a run's description has it.
    options = {"label": "speed", "storage": None}
    found = open_any("arrow_of_time", "test", data_dir=str(out), options=options)
    assert found.classes == speed.classes
    with pytest.raises(ValueError, match="direction, speed, both, place, got 'way'"):
        opened(out, label="way")


def test_classes_that_fit_knows():
    config = small.arrow_of_time()
    for label, classes in (("direction", 2), ("speed", 3), ("both", 5)):
        config.data.options.label = label
        assert sizing._classes(config, None) == classes
        assert sum(aot._task(config).sizes(classes).values()) == classes
        assert aot._task(config).one_list == (label != "both")
    config.data.options.label = "place"
    with pytest.raises(ValueError, match="--num-classes"):
        sizing._classes(config, None)


def test_whole_places_are_left_out(out, source):
    with (folder(out) / "left_out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows and len(rows) % 6 == 0
    places = {row["id"].partition(" s, ")[0] for row in rows}
    assert len(places) * 6 == len(rows)
    assert {row["file"] for row in rows} == {str(source / "still.mp4")}
    assert all(": still: " in row["reason"] for row in rows)


def test_with_workers_and_after_an_interruption_the_bytes_are_the_same(
    source, out, tmp_path, capsys
):
    prepare(source, tmp_path, "--workers=2")
    said = capsys.readouterr()
    assert shards(tmp_path) == shards(out)
    assert "arrow_of_time test: " in said.out and " still\n" in said.out
    assert "still.mp4: is for training alone" in said.err
    # One shard is lost.
    final = folder(tmp_path)
    lost = min(final.glob("*train.array_record-00001-of-?????"))
    begun = final.rename(final.with_name(f"{records.VERSION}.incomplete"))
    (begun / lost.name).unlink()
    prepare(source, tmp_path)
    assert shards(tmp_path) == shards(out)


def test_another_plan_is_refused(source, out, capsys):
    prepare(source, out, "--side=48", code=2)
    assert "was made of other annotations" in capsys.readouterr().err
    prepare(source, out, "--storage=fast", code=2)
    assert "arrow_of_time is stored as keyframes, got" in capsys.readouterr().err
    prepare(source, out, "--test-share=0.5", code=2)
    assert "--test-share is for NAME=folder" in capsys.readouterr().err
    argv = ["prepare", "folder", f"--source={source}", f"--out={out}", "--side=64"]
    assert cli.run(argv) == 2
    assert "--side is for NAME=arrow_of_time" in capsys.readouterr().err


def test_flow_of_windows_is_refused(source, tmp_path):
    with pytest.raises(ValueError, match="windows are stored as frames"):
        build.prepare(
            read(source, frames=4),
            "arrow_of_time",
            out=tmp_path,
            stored_as="keyframes",
            modality="flow",
        )


def test_a_scheme_blind_to_order_has_half_of_the_directions(out):
    """Untrained: whatever its weights are, both directions get the same logits."""
    split = opened(out)
    model = vidshift.create("resnet_tiny", "tsn", num_classes=2, num_frames=4)
    indices = segment_indices(4, 4)
    assert set(indices) == set(range(4))
    clips = np.stack(
        [
            split.decode(split.source[row]["video"], indices)
            for row in range(len(split.source))
        ]
    )
    labels = np.array(
        [r["label"] for r in map(split.source.__getitem__, range(len(clips)))]
    )
    logits = np.asarray(jax.jit(model)(clips / 255.0))
    assert (logits.argmax(1) == labels).mean() == 0.5


@pytest.mark.slow
def test_nothing_but_order_tells_the_direction(out):
    """Frames of a square that swings, and their sizes in the file, by linear classifiers."""
    train, test = opened(out, "train"), opened(out)
    found = leaks.accuracies(train, test)
    assert {"bytes of the file", "bytes of each frame"} < found.keys()
    limit = 3 * np.sqrt(0.25 / (len(test.source) / 2))
    for name, (_, accuracy) in found.items():
        assert abs(accuracy - 0.5) < limit, name


@pytest.mark.slow
def test_training_evaluating_and_starting_from_it(out, tmp_path, capsys):
    flags = (
        f"--config.data.dir={out}",
        "--config.model.backbone=resnet_tiny",
        "--config.data.num_frames=4",
        "--config.data.resize=32",
        "--config.data.crop=32",
        "--config.epochs=0.3",
        "--config.optim.warmup_epochs=0.1",
        "--config.data.workers=0",
    )
    first = tmp_path / "first"
    argv = ["train", "--config=arrow_of_time", *flags]
    assert cli.run([*argv, f"--workdir={first}", "--config.model.temporal=tsn"]) == 0
    capsys.readouterr()
    assert cli.run(["eval", f"--run={first}", f"--data-dir={out}"]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["top1"] == 0.5 and line["right_pair"] == 1.0
    second = tmp_path / "second"
    flags = (f"--config.init={first}", "--config.data.options.label=both")
    assert cli.run([*argv, *flags, f"--workdir={second}"]) == 0
    assert "new, since the classes differ" in capsys.readouterr().out
    (figures,) = [line for line in read_metrics(second) if line["kind"] == "test"]
    assert {"top1", "right_pair", "speed_top1"} <= figures.keys()
