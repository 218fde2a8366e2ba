"""The built-in dataset: honest about time, reproducible, built once."""

import errno
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from tensorflow_datasets.core.utils.file_utils import _get_incomplete_dir

from vidshift.data.media import video
from vidshift.data.parallel.workers import Failed
from vidshift.data.sources import motion_clips, ordered_motion
from vidshift.data.sources.datasets import DATASETS, open_split
from vidshift.data.sources.motion_clips import CLASSES, OrderedMotion

# 12 frames keep the classes visible and the tests quick.
TINY = OrderedMotion(
    side=16, frames=12, train_clips=24, validation_clips=12, test_clips=13
)


def fresh_draws(label: int, count: int = 30) -> np.ndarray:
    rng = np.random.default_rng([label // 2, 5])
    return np.stack(
        [motion_clips.draw(label, OrderedMotion(), rng) for _ in range(count)]
    )


@pytest.mark.parametrize("label", range(0, 12, 2))
def test_second_of_a_pair_is_the_first_backwards(label):
    forwards, backwards = fresh_draws(label, 4), fresh_draws(label + 1, 4)
    np.testing.assert_array_equal(backwards, forwards[:, ::-1])
    assert (forwards != backwards).any()


@pytest.mark.parametrize("label", range(12))
def test_codec_has_no_arrow_of_time(label):
    frames = fresh_draws(label, 1)[0]
    there = video.decode(motion_clips.encode(frames), range(24))
    back = video.decode(motion_clips.encode(frames[::-1]), range(24))
    np.testing.assert_array_equal(back, there[::-1])
    assert abs(there.astype(int) - frames).mean() < 6


def painted(clips: np.ndarray) -> np.ndarray:
    """Weights of the pixels that differ from the rest of the clip, [N, T, H, W]."""
    still = np.median(clips, axis=1, keepdims=True)
    away = abs(clips - still).sum(-1)
    return np.where(away > 90, away, 0)


def test_directions_are_those_of_the_names():
    across = np.arange(32)

    def drift(label, axis):
        # Of the painted part's centre from the first third to the last, pixels.
        weight = painted(fresh_draws(label)).sum(axis=5 - axis)
        centre = (weight * across).sum(-1) / np.maximum(weight.sum(-1), 1)
        return np.median(centre[:, -8:].mean(1) - centre[:, :8].mean(1))

    assert drift(CLASSES.index("moving left"), 3) < -6
    assert drift(CLASSES.index("moving right"), 3) > 6
    assert drift(CLASSES.index("moving up"), 2) < -6
    assert drift(CLASSES.index("moving down"), 2) > 6


def test_growing_grows_and_turning_turns_clockwise(monkeypatch):
    # The parameters that reach the painter, since they say what the pixels show.
    seen = {}
    paint = motion_clips._shape

    def spy(frames, centre, rng, **options):
        seen.setdefault("centres", []).append(np.array(centre))
        seen.update(options)
        return paint(frames, centre, rng, **options)

    monkeypatch.setattr(motion_clips, "_shape", spy)
    rng = np.random.default_rng(0)
    motion_clips.draw(CLASSES.index("growing"), TINY, rng)
    assert (np.diff(seen["size"]) > 0).all()
    motion_clips.draw(CLASSES.index("turning clockwise"), TINY, rng)
    assert (np.diff(seen["angle"]) > 0).all()
    motion_clips.draw(CLASSES.index("fading in"), TINY, rng)
    assert (np.diff(seen["opacity"]) > 0).all()
    seen["centres"].clear()
    motion_clips.draw(CLASSES.index("approaching"), TINY, rng)
    one, two = seen["centres"]
    assert (np.diff(np.hypot(*(one - two))) < 0).all()


def test_a_growing_angle_turns_clockwise_as_seen():
    # A wedge that points right (angle 0) points down at a quarter turn.
    frames = np.zeros((2, 32, 32, 3), np.float32)
    drawn = motion_clips._shape(
        frames,
        (0.5, 0.5),
        np.random.default_rng(0),
        size=0.4,
        angle=np.array([0, np.pi / 2]),
        outline=motion_clips.TURNING[0],
    )
    inside = (drawn.sum(-1) > 0).astype(float)
    width = inside.sum(axis=1)  # [T, W], how tall the wedge is in each column.
    height = inside.sum(axis=2)  # [T, H]
    assert width[0, :16].sum() > width[0, 16:].sum()  # Thick end left, point right.
    assert height[1, :16].sum() > height[1, 16:].sum()  # Thick end up, point down.


def test_names_of_mirror_and_reverse():
    for label, name in enumerate(CLASSES):
        mirror = CLASSES[motion_clips.FLIP_LABELS[label]]
        swaps = {
            "moving left": "moving right",
            "turning clockwise": ("turning counter-clockwise"),
        }
        swaps |= {b: a for a, b in swaps.items()}
        assert mirror == swaps.get(name, name)
        assert motion_clips.REVERSED_LABELS[label] == label ^ 1


def test_labels_are_balanced_and_shuffled():
    for split in motion_clips.SPLITS:
        labels = motion_clips.labels(OrderedMotion(), split)
        assert set(np.bincount(labels)) == {len(labels) // 12}
        assert abs(np.diff(labels)).mean() > 2
    assert not (
        motion_clips.labels(OrderedMotion(), "validation")
        == motion_clips.labels(OrderedMotion(), "test")
    ).all()


def test_clips_have_the_bits_of_this_version():
    # If this fails the drawing changed: raise OrderedMotionBuilder.VERSION.
    sums = [
        int(motion_clips.clip(TINY, "train", index, index).astype(np.int64).sum())
        for index in range(12)
    ]
    # Sines and powers differ in the last bit between processors.
    np.testing.assert_allclose(sums, GOLDEN_SUMS, atol=50)


GOLDEN_SUMS = (
    *(1232458, 1159710, 1214734, 1235018, 1218602, 1080513),
    *(1123748, 1218442, 1107026, 1145791, 1136837, 1169405),
)


@pytest.mark.parametrize("where", ["here", "in two processes"])
def test_build_and_read(tmp_path, monkeypatch, capfd, where):
    """The clips have the same bits whoever draws them."""
    if where == "in two processes":
        monkeypatch.setattr(ordered_motion, "CLIPS_PER_PROCESS", 6)
        monkeypatch.setattr(ordered_motion, "cores", lambda: 2)
        monkeypatch.setattr(ordered_motion, "_draw", draw_elsewhere)
    split = open_split("ordered_motion", "test", data_dir=str(tmp_path), options=TINY)
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith("ordered_motion: drawing 49 clips, once, into ")
    assert said[-1].startswith("ordered_motion: 49 of 49 clips, ")
    labels = motion_clips.labels(TINY, "test")
    assert len(split.source) == 13
    assert split.classes == CLASSES
    for row in (0, 5, 12):
        record = split.source[row]
        assert record["id"] == f"ordered_motion/test/{row}"
        assert record["label"] == labels[row]
        assert (record["num_frames"], record["fps"]) == (12, 12.0)
        frames = motion_clips.clip(TINY, "test", row, int(labels[row]))
        assert record["video"] == motion_clips.encode(frames)
        assert video.probe(record["video"]).num_frames == 12


draw = ordered_motion._draw


def draw_elsewhere(*arguments) -> bytes:
    assert multiprocessing.parent_process() is not None
    return draw(*arguments)


def test_a_clip_whose_process_dies_ends_the_build(tmp_path, monkeypatch):
    def killed(function, items, *, workers):
        yield from ((item, Failed("killed")) for item in items)

    monkeypatch.setattr(ordered_motion, "results", killed)
    with pytest.raises(RuntimeError, match="train/0 cannot be drawn: killed"):
        ordered_motion.build(str(tmp_path), TINY)
    monkeypatch.undo()
    assert ordered_motion.build(str(tmp_path), TINY).is_prepared()


def test_other_options_are_other_data(tmp_path):
    one, two = (
        ordered_motion.open_split(
            "test",
            data_dir=str(tmp_path),
            options=OrderedMotion(16, 4, 1, 1, 2, seed=seed),
        )
        for seed in (0, 1)
    )
    assert one.source[0]["video"] != two.source[0]["video"]


def test_an_interrupted_build_is_not_read(tmp_path, monkeypatch):
    encode = motion_clips.encode
    calls = []

    def stop_half_way(frames):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return encode(frames)

    monkeypatch.setattr(motion_clips, "encode", stop_half_way)
    with pytest.raises(KeyboardInterrupt):
        ordered_motion.build(str(tmp_path), TINY)
    monkeypatch.undo()
    # What a killed process leaves behind, by TFDS's name for it.
    (folder,) = (p for p in (tmp_path / "ordered_motion").iterdir() if p.is_dir())
    Path(_get_incomplete_dir(str(folder / "1.0.0"))).joinpath("some").mkdir(
        parents=True
    )
    split = ordered_motion.open_split("train", data_dir=str(tmp_path), options=TINY)
    assert len(split.source) == 24
    assert [p.name for p in folder.iterdir()] == ["1.0.0"]


def test_a_whole_data_set_is_read_without_a_lock(tmp_path, monkeypatch):
    """A disk may be read-only."""
    ordered_motion.build(str(tmp_path), TINY)

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(ordered_motion, "FileLock", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    split = ordered_motion.open_split("train", data_dir=str(tmp_path), options=TINY)
    assert len(split.source) == 24


def test_damaged_metadata_are_named(tmp_path):
    ordered_motion.build(str(tmp_path), TINY)
    (file,) = tmp_path.rglob("dataset_info.json")
    file.write_bytes(file.read_bytes()[:100])
    says = (
        r"1\.0\.0/dataset_info\.json is damaged .*: remove .*1\.0\.0, and it is drawn"
    )
    with pytest.raises(ValueError, match=says):
        ordered_motion.build(str(tmp_path), TINY)


def _build(data_dir: str, start, results) -> None:
    start.wait()
    drawn = []
    encode = motion_clips.encode
    motion_clips.encode = lambda frames: drawn.append(1) or encode(frames)
    split = ordered_motion.open_split("train", data_dir=data_dir, options=TINY)
    results.put((len(drawn), len(split.source)))


@pytest.mark.slow
def test_two_processes_build_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=_build, args=(str(tmp_path), start, results))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    got = sorted(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert got == [(0, 24), (24 + 12 + 13, 24)]
    assert len(list(Path(tmp_path).rglob("dataset_info.json"))) == 1


def test_unknown_names_list_the_right_ones(tmp_path):
    with pytest.raises(ValueError, match="'ordered_motoin'; did you mean 'ordered_mot"):
        open_split("ordered_motoin", "train", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="'dev'; there are: train, validation, test"):
        open_split("ordered_motion", "dev", data_dir=str(tmp_path))
    assert all(dataset.splits for dataset in DATASETS.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (OrderedMotion(side=31), "side must be even and >= 8 pixels, got 31"),
        (OrderedMotion(frames=0), "frames must be >= 1, got 0"),
        (OrderedMotion(test_clips=0), "test_clips must be >= 1, got 0"),
        (OrderedMotion(seed=-1), "seed must be >= 0, got -1"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        ordered_motion.build(str(tmp_path), options)
