"""The same batches for any processes, workers and restarts; no failure is silent."""

import logging
import multiprocessing
import threading
import time
import traceback

import numpy as np
import pytest

from vidshift.data.annotations import mirrored
from vidshift.data.loading import plan
from vidshift.data.loading.loader import (
    BATCHES_AHEAD,
    TooManyFailures,
    eval_batches,
    train_batches,
)
from vidshift.data.media import encoding, video
from vidshift.data.records.record import Record
from vidshift.data.sources import motion_clips
from vidshift.data.sources.split import Split
from vidshift.data.views.sampling import segment_indices
from vidshift.data.views.view import View, clip_from_video, fingerprint, labels_during
from vidshift.tasks import MULTI_LABEL, SINGLE_LABEL

OPTIONS = motion_clips.OrderedMotion(side=16, frames=12)
VIEW = View(num_frames=4, resize=16, crop=12)


def records(count: int, broken: tuple[int, ...] = ()) -> list[Record]:
    return [
        Record(
            video=b"no video"
            if row in broken
            else motion_clips.encode(
                motion_clips.clip(OPTIONS, "train", row, row % 12)
            ),
            label=row % 12,
            id=f"clip {row}",
            num_frames=12,
            fps=12.0,
        )
        for row in range(count)
    ]


def split_of(source: list[Record], flip_labels=motion_clips.FLIP_LABELS) -> Split:
    return Split(source, motion_clips.CLASSES, flip_labels=flip_labels)


SPLIT = split_of(records(10))


def take(count: int, split: Split = SPLIT, **options) -> list[dict]:
    options = {"batch_size": 4, "seed": 5, "workers": 0} | options
    with train_batches(split, VIEW, **options) as batches:
        return [next(batches) for _ in range(count)]


def test_a_class_without_a_mirror_image_is_not_flipped():
    flips = (mirrored.NO_MIRROR, *range(1, 12))
    split = split_of(SPLIT.source, flip_labels=flips)
    says = (
        "the mirror image of 'moving left' is none .*flip=false, or say .*data.mirror="
    )
    with pytest.raises(ValueError, match=says):
        take(1, split=split)
    assert not take(1, split=split, flip=False)[0]["flip"].any()
    with (
        pytest.raises(ValueError, match="'moving left' .* choose a protocol of fewer"),
        eval_batches(split, VIEW, batch_size=4, workers=0, crops=10),
    ):
        pass


def assert_same(one: list[dict], two: list[dict]) -> None:
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_batch_is_what_the_plan_says():
    (first, second, third) = take(3)
    assert first["video"].shape == (4, 4, 12, 12, 3)
    assert {key: value.dtype for key, value in first.items()} == {
        "video": np.uint8,
        "label": np.int32,
        "flip": np.bool_,
        "fingerprint": np.uint32,
    }
    # Ten records, so the third batch runs on into the second epoch.
    labels = np.concatenate([b["label"] for b in (first, second, third)])
    assert labels.tolist() == [plan.row(5, i, 10) for i in range(12)]
    assert sorted(labels[:10]) == list(range(10))


def test_pixels_and_fingerprint_are_those_of_the_record():
    (batch,) = take(1)
    rng = plan.augmentation_rng(5, 2)
    record = SPLIT.source[plan.row(5, 2, 10)]
    indices = segment_indices(12, 4, rng=rng)
    frames = video.decode(record["video"], indices)
    x, y = rng.random(2)
    left, top = round(4 * x), round(4 * y)
    np.testing.assert_array_equal(
        batch["video"][2], frames[:, top : top + 12, left : left + 12]
    )
    flip = rng.random() < 0.5
    assert batch["flip"][2] == flip
    box = (float(left), float(top), left + 12.0, top + 12.0)
    assert (
        batch["fingerprint"][2] == fingerprint(record["id"], indices, box, flip)
    ).all()


@pytest.mark.parametrize("change", ["id", "indices", "box", "flip"])
def test_fingerprint_sees_every_part(change):
    parts = {
        "id": "a",
        "indices": np.arange(3),
        "box": (0.0, 0.0, 1.0, 1.0),
        "flip": True,
    }
    other = {"id": "b", "indices": np.arange(3)[::-1], "box": (0.5, 0.0, 1.5, 1.0)}
    changed = parts | {change: (other | {"flip": False})[change]}
    assert (fingerprint(*parts.values()) != fingerprint(*changed.values())).any()


@pytest.mark.slow(but=("thread",))
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_workers_change_nothing(kind):
    assert_same(take(6), take(6, workers=4, worker_kind=kind))


@pytest.mark.parametrize(
    ("processes", "options"),
    [
        (4, {}),
        (2, {"workers": 2, "worker_kind": "process"}),
    ],
)
def test_processes_share_the_same_global_batches(processes, options):
    shares = [
        take(4, process_index=process, process_count=processes, **options)
        for process in range(processes)
    ]
    joined = [
        {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        for parts in zip(*shares, strict=True)
    ]
    assert_same(joined, take(4))


def test_starting_at_a_step_equals_skipping_to_it():
    assert_same(take(5, start_step=3), take(8)[3:])


def test_half_is_flipped_where_that_is_allowed():
    flips = np.concatenate([batch["flip"] for batch in take(25)])
    assert 30 < flips.sum() < 70
    for never in (
        take(5, flip=False),
        take(5, split=split_of(SPLIT.source, flip_labels=None)),
    ):
        assert not any(batch["flip"].any() for batch in never)


def test_clips_of_paired_classes_can_stay_as_they_are():
    labels = np.arange(12)
    same = labels[np.asarray(motion_clips.FLIP_LABELS) == labels]
    assert 0 < len(same) < 12
    # Without a pair: NO_MIRROR is no reason to refuse the others' flips.
    for mirrors in (motion_clips.FLIP_LABELS, (mirrored.NO_MIRROR, *range(1, 12))):
        split = split_of(records(12), flip_labels=mirrors)
        paired = np.asarray(mirrors) != labels
        rows = take(9, split=split, flip_paired=False)
        label, flip = (np.concatenate([r[k] for r in rows]) for k in ("label", "flip"))
        assert not flip[paired[label]].any() and flip[~paired[label]].any()
    batches = take(9, several([(2, 0), (), (3,)]), batch_size=3, flip_paired=False)
    flipped = np.concatenate([batch["label"][batch["flip"]] for batch in batches])
    assert len(flipped) and not flipped[:, :2].any()


@pytest.mark.parametrize(
    "fields", [{"short_sides": (16, 48)}, {"scales": (1.0, 0.8, 0.6, 0.45, 0.28)}]
)
def test_crops_change_how_much_of_the_frame_is_seen(fields):
    """A frame of 16 x 24 pixels, each as bright as its place is far to the right."""
    frames = np.broadcast_to(10 * np.arange(24)[:, None], (4, 16, 24, 3))
    data = encoding.encode(frames.astype(np.uint8), crf=0)
    split = split_of([Record(video=data, label=0, id="x", num_frames=4, fps=12.0)])
    view = View(num_frames=2, resize=16, crop=12, **fields)
    with train_batches(split, view, batch_size=64, seed=0, workers=0) as batches:
        video = next(batches)["video"].astype(int)
    widths = (video[..., -1, 0] - video[..., 0, 0]).mean((1, 2)) / 10
    # 12 of 16 pixels are 12 columns, and 12 of 48 are 4.
    assert widths.max() > 10 and widths.min() < 4.5
    assert len(set(widths.round().tolist())) > 4


def test_a_broken_record_is_replaced_by_the_next(caplog):
    broken = split_of(records(10, broken=(3,)))
    with caplog.at_level(logging.WARNING, "vidshift.data"):
        # Two epochs and a half; 2 or 3 of 28 elements meet the broken record.
        got, good = take(7, split=broken, max_failed_share=0.2), take(7)
    rows = [plan.row(5, i, 10) for i in range(28)]
    labels = np.concatenate([batch["label"] for batch in got])
    assert labels.tolist() == [4 if row == 3 else row for row in rows]
    prints, good_prints = (
        np.concatenate([b["fingerprint"] for b in batches]) for batches in (got, good)
    )
    same = (prints == good_prints).all(axis=1)
    assert same.tolist() == [row != 3 for row in rows]
    assert "clip 3: not a video" in caplog.text
    # The replacement takes the element's own random numbers.
    element = rows.index(3)
    expected = segment_indices(12, 4, rng=plan.augmentation_rng(5, element))
    frames = video.decode(broken.source[4]["video"], expected)
    shown = got[element // 4]["video"][element % 4]
    assert any(
        (frames[:, y : y + 12, x : x + 12] == shown).all()
        for y in range(5)
        for x in range(5)
    )
    assert_same(got, take(7, split=broken, max_failed_share=0.2, workers=3))


def test_failures_are_counted():
    broken = split_of(records(10, broken=(3, 4)))
    with train_batches(broken, VIEW, batch_size=10, seed=0, workers=0) as batches:
        next(batches)
        # Row 3 leads to 4 and to 5, row 4 to 5.
        assert batches.seen == 13
        assert sorted(record for record, _ in batches.failures) == [
            "clip 3",
            "clip 4",
            "clip 4",
        ]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("broken", "most", "says"),
    [
        ((3,), 100, r"of 1\d\d records.*0.01.*clip 3: not a"),
        (range(10), 1, "10 records in a row"),
    ],
)
def test_too_many_broken_records_stop_the_run(workers, broken, most, says):
    split = split_of(records(10, broken=broken))
    with (
        train_batches(split, VIEW, batch_size=5, seed=0, workers=workers) as batches,
        pytest.raises(TooManyFailures, match=says),
    ):
        for _ in range(most):
            next(batches)
    assert most == 1 or batches.seen >= 100


def test_a_wrong_record_is_not_a_broken_video():
    wrong = [SPLIT.source[0] | {"num_frames": 0}]
    with pytest.raises(ValueError, match="num_video_frames must be >= 1"):
        take(1, split=split_of(wrong))


class NoSource(list):
    def __getitem__(self, row):
        raise TypeError("of our own")


@pytest.mark.parametrize(
    ("workers", "kind"), [(0, "thread"), (2, "thread"), (2, "process")]
)
def test_other_errors_are_not_swallowed(workers, kind):
    with (
        train_batches(
            split_of(NoSource([None])),
            VIEW,
            batch_size=1,
            seed=0,
            workers=workers,
            worker_kind=kind,
        ) as batches,
        pytest.raises(TypeError, match="of our own") as error,
    ):
        next(batches)
    shown = "".join(traceback.format_exception(error.value))
    assert "in __getitem__" in shown


def threads_after(seconds: float) -> int:
    """Waits until the loaders' threads are gone, and returns how many are not."""
    deadline = time.monotonic() + seconds
    while True:
        alive = sum("vidshift" in thread.name for thread in threading.enumerate())
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_close_leaves_no_threads_and_no_processes(kind):
    assert threads_after(10) == 0  # Those of the tests before.
    batches = train_batches(
        SPLIT, VIEW, batch_size=4, seed=0, workers=3, worker_kind=kind
    )
    next(batches)
    assert threads_after(0) == 3
    assert bool(multiprocessing.active_children()) == (kind == "process")
    batches.close()
    batches.close()
    assert threads_after(10) == 0
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_few_clips_are_loaded_ahead_and_no_more(kind, tmp_path):
    split = split_of(Noted(SPLIT.source))
    split.source.own = tmp_path
    with train_batches(
        split, VIEW, batch_size=4, seed=0, workers=2, worker_kind=kind
    ) as batches:
        next(batches)
        most = 4 + BATCHES_AHEAD * 4
        until = time.monotonic() + 10
        while len(list(tmp_path.iterdir())) < most - 1 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)
        assert most - 1 <= len(list(tmp_path.iterdir())) <= most


class Noted(list):
    """Makes a file for each record that is read."""

    def __getitem__(self, row):
        (self.own / str(time.monotonic_ns())).touch()
        return super().__getitem__(row)


@pytest.mark.parametrize(
    ("workers", "kind"), [(0, "thread"), (2, "thread"), (2, "process")]
)
def test_evaluation_reads_every_row_once(workers, kind):
    options = {"workers": workers, "worker_kind": kind}
    with eval_batches(SPLIT, VIEW, batch_size=4, **options) as batches:
        got = list(batches)
    assert [b["index"].tolist() for b in got] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, -1, -1],
    ]
    assert got[2]["label"].tolist() == [8, 9, -1, -1]
    assert got[2]["id"].tolist() == ["clip 8", "clip 9", "", ""]
    assert got[0]["video"].shape == (4, 1, 4, 12, 12, 3)
    assert not got[2]["video"][2:].any()
    # Frames 1, 4, 7, 10 of 12, centre 12 of 16 pixels.
    frames = video.decode(SPLIT.source[9]["video"], [1, 4, 7, 10])
    np.testing.assert_array_equal(got[2]["video"][1, 0], frames[:, 2:14, 2:14])


def test_evaluation_processes_share_every_batch():
    parts = []
    for process in range(2):
        with eval_batches(
            SPLIT,
            VIEW,
            batch_size=8,
            process_index=process,
            process_count=2,
            workers=0,
        ) as batches:
            parts.append([b["index"].tolist() for b in batches])
    assert parts == [[[0, 1, 2, 3], [8, 9, -1, -1]], [[4, 5, 6, 7], [-1] * 4]]


def test_views_are_clip_by_clip_and_crop_by_crop():
    data = encoding.encode(
        np.random.default_rng(0).integers(0, 255, (12, 16, 24, 3), np.uint8)
    )
    split = split_of([Record(video=data, label=0, id="x", num_frames=12, fps=12.0)])
    with eval_batches(split, VIEW, clips=2, crops=3, batch_size=1, workers=0) as got:
        (batch,) = got
    expected = []
    for offset in (0.5, 0.0):
        frames = video.decode(data, segment_indices(12, 4, offset=offset))
        expected += [frames[:, 2:14, left : left + 12] for left in (0, 6, 12)]
    (places,) = batch["places"]
    assert places.tolist() == [[0, 0], [0, 6], [0, 12]]
    got = [
        clip[:, :, left : left + 12] for clip in batch["video"][0] for _, left in places
    ]
    np.testing.assert_array_equal(np.stack(got), np.stack(expected))
    np.testing.assert_array_equal(
        clip_from_video(data, VIEW, clips=2, crops=3), np.stack(expected)
    )


def test_evaluation_leaves_out_broken_records_and_names_them(caplog):
    broken = split_of(records(6, broken=(2,)))
    with (
        caplog.at_level(logging.WARNING, "vidshift.data"),
        eval_batches(broken, VIEW, batch_size=3, workers=2) as batches,
    ):
        got = list(batches)
    assert [b["index"].tolist() for b in got] == [[0, 1, -1], [3, 4, 5]]
    assert got[0]["label"].tolist() == [0, 1, -1]
    ((name, reason),) = batches.failures
    assert name == "clip 2" and "not a video" in reason
    assert "clip 2" in caplog.text
    assert batches.seen == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 5, "process_count": 2}, "batch_size"),
        ({"process_index": 1}, "process_index"),
        ({"seed": -1}, "seed"),
        ({"start_step": -1}, "start_step"),
        ({"workers": -1}, "workers must be >= 0, got -1"),
        ({"worker_kind": "fiber"}, "worker_kind must be one of .*, got 'fiber'"),
        ({"split": split_of([])}, "split must have records"),
    ],
)
def test_training_errors(options, message):
    with pytest.raises(ValueError, match=message):
        take(1, **options)


@pytest.mark.parametrize(
    ("options", "message"), [({"crops": 2}, "crops"), ({"clips": 0}, "clips")]
)
def test_evaluation_errors(options, message):
    with pytest.raises(ValueError, match=message):
        eval_batches(SPLIT, VIEW, batch_size=2, **options)


def several(labels: list) -> Split:
    """A split of several labels a clip, of 4 classes."""
    source = [r | {"label": x} for r, x in zip(records(3), labels, strict=True)]
    return Split(
        source, ("a", "b", "c", "d"), flip_labels=(1, 0, 2, 3), task=MULTI_LABEL
    )


def test_several_labels_become_multi_hot_rows():
    split = several([(2, 0), (), (3,)])
    rows = {(1, 0, 1, 0), (0, 0, 0, 0), (0, 0, 0, 1)}
    (batch,) = take(1, split, batch_size=3)
    assert batch["label"].dtype == np.uint8
    assert {tuple(row) for row in batch["label"].tolist()} == rows
    with eval_batches(split, VIEW, batch_size=4, workers=0) as batches:
        (batch,) = batches
    # The last row is padding.
    assert batch["label"].tolist() == [[1, 0, 1, 0], [0] * 4, [0, 0, 0, 1], [0] * 4]
    assert batch["index"].tolist() == [0, 1, 2, -1]


@pytest.mark.parametrize(
    ("task", "label", "expected"),
    [
        (
            SINGLE_LABEL,
            (1, 2),
            r"must be one number where multi_label is False, got \(1, 2\)",
        ),
        (MULTI_LABEL, 1, "must be a tuple of numbers where multi_label is True, got 1"),
        (MULTI_LABEL, (0, 4), r"must be in \[0, 4\), got 4"),
        (MULTI_LABEL, (-1,), r"must be in \[0, 4\), got -1"),
        (SINGLE_LABEL, 4, r"must be in \[-1, 4\), got 4"),
        (SINGLE_LABEL, -2, r"must be in \[-1, 4\), got -2"),
    ],
)
def test_labels_that_are_of_another_kind_or_no_class(task, label, expected):
    with pytest.raises(ValueError, match=expected):
        task.target(label, 4)


def test_a_clip_without_a_label_is_scored_and_not_trained_on():
    source = [record | {"label": -1} for record in records(3)]
    with eval_batches(split_of(source), VIEW, batch_size=3, workers=0) as batches:
        (batch,) = batches
    assert batch["label"].tolist() == [-1] * 3 and batch["index"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"clip \d has no label to be trained on"):
        take(1, split_of(source), workers=0)


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        ([0, 4], (7,)),  # to 0.4 s
        ([0, 15], (7, 8)),
        ([10, 10], (7, 8)),  # where one ends and the other begins
        ([11, 19], (8,)),
        ([31, 39], (9,)),
        ([25, 26], ()),
    ],
)
def test_labels_that_hold_during_a_clip(indices, expected):
    record = {
        "label": (7, 8, 9),
        "spans": ((0.0, 1.0), (1.0, 2.2), (3.0, np.inf)),
        "fps": 10.0,
    }
    assert labels_during(record, np.array(indices)) == expected


def test_labels_hold_all_the_time_where_nothing_says_when():
    assert labels_during({"label": 3, "fps": 10.0}, np.array([5])) == 3
    record = {"label": (1, 2), "spans": ((0.0, 1.0), (5.0, 6.0)), "fps": 0.0}
    assert labels_during(record, np.array([5])) == (1, 2)
