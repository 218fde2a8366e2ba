"""Builds the order-labelled clips of `motion_clips` as a TFDS dataset.

The folder of a build is named by its options and the version of the drawing code, so
a change of either never reads old data.
"""

import contextlib
import dataclasses
import functools
import io
import logging
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from filelock import FileLock, Timeout
from tensorflow_datasets.core.constants import INCOMPLETE_PREFIX

from vidshift.data.parallel.clip_progress import ClipProgress
from vidshift.data.parallel.workers import Failed, cores, results
from vidshift.data.records.record import Record
from vidshift.data.records.tfds_rows import open_rows, reading_metadata
from vidshift.data.sources import motion_clips
from vidshift.data.sources.motion_clips import (
    CLASSES,
    FLIP_LABELS,
    FPS,
    REVERSED_LABELS,
    SPLITS,
    OrderedMotion,
)
from vidshift.data.sources.split import Split, TfdsSource

# A process takes as long to start as it does to draw this many clips.
CLIPS_PER_PROCESS = 300


@dataclasses.dataclass
class OrderedMotionConfig(tfds.core.BuilderConfig):
    options: OrderedMotion = dataclasses.field(default_factory=OrderedMotion)


class OrderedMotionBuilder(tfds.core.GeneratorBasedBuilder):
    """TFDS builder; `build` runs it safely."""

    name = "ordered_motion"
    # Is called for each clip that is written.
    progress: ClipProgress
    # Raise when a clip of the same options changes in any bit.
    VERSION = tfds.core.Version("1.0.0")
    # Nothing is downloaded. Left to itself TFDS looks for checksums, by way of a
    # package (importlib_resources) that it does not install.
    url_infos = None

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=motion_clips.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "video": tfds.features.Scalar(np.bytes_),
                    "label": tfds.features.ClassLabel(names=CLASSES),
                    "id": tfds.features.Text(),
                    "num_frames": tfds.features.Scalar(np.int32),
                    "fps": tfds.features.Scalar(np.float32),
                }
            ),
            # The clips are drawn in random order already, and a row's number is then
            # the number in its id.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # Nothing to download.
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split: str):
        options, progress = self.builder_config.options, self.progress
        labels = motion_clips.labels(options, split).tolist()
        draw = functools.partial(_draw, options, split)
        workers = min(cores(), len(labels) // CLIPS_PER_PROCESS)
        videos = results(draw, enumerate(labels), workers=workers)
        with contextlib.closing(videos):
            for (index, label), video in videos:
                name = f"ordered_motion/{split}/{index}"
                failed = isinstance(video, Failed)
                if failed:
                    raise RuntimeError(f"{name} cannot be drawn: {video.reason}")
                yield (
                    index,
                    {
                        "video": video,
                        "label": label,
                        "id": name,
                        "num_frames": options.frames,
                        "fps": FPS,
                    },
                )
                progress()


def _draw(options: OrderedMotion, split: str, item: tuple[int, int]) -> bytes:
    """Makes the video of a clip, by its (index, label)."""
    return motion_clips.encode(motion_clips.clip(options, split, *item))


def build(data_dir: str, options: OrderedMotion) -> tfds.core.DatasetBuilder:
    """Returns the dataset with these options, drawing it first where it is missing.

    Only one process builds at a time; the others wait and then read. TFDS writes to a
    temporary folder and renames it at the end, so an interrupted build is not read.

    Args:
      data_dir: folder of all datasets.
      options: what to draw.

    Raises:
      ValueError: an option out of range.
    """
    _check(options)
    folder = pathlib.Path(data_dir) / OrderedMotionBuilder.name
    config = OrderedMotionConfig(
        name="-".join(f"{k}{v}" for k, v in dataclasses.asdict(options).items()),
        options=options,
    )
    # A data set that is there is whole: reading it needs no lock, which a disk that
    # nothing can be written to would not give.
    if (folder / config.name / str(OrderedMotionBuilder.VERSION)).is_dir():
        with _quiet():
            builder = _builder(data_dir, config)
        if builder.is_prepared():
            return builder
    folder.mkdir(parents=True, exist_ok=True)
    with _turn(folder / f"{config.name}.lock"), _quiet():
        builder = _builder(data_dir, config)
        if not builder.is_prepared():
            # Left by builds that were killed; nobody else builds while we hold the lock.
            for rest in (folder / config.name).glob(f"{INCOMPLETE_PREFIX}*"):
                shutil.rmtree(rest)
            total = sum(map(options.clips, SPLITS))
            _say(f"drawing {total:,} clips, once, into {folder / config.name}")
            with ClipProgress(builder.name, total) as builder.progress:
                builder.download_and_prepare(
                    download_config=tfds.download.DownloadConfig(
                        try_download_gcs=False, compute_stats="skip"
                    ),
                    file_format="array_record",
                )
    return builder


def _say(line: str) -> None:
    print(f"{OrderedMotionBuilder.name}: {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _turn(path: pathlib.Path) -> Iterator[None]:
    """Holds a lock, and says so where another process has to be waited for."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _say("another process is drawing the clips; this one waits for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _builder(data_dir: str, config: OrderedMotionConfig) -> OrderedMotionBuilder:
    """TFDS's builder, which reads what is there."""
    version = str(OrderedMotionBuilder.VERSION)
    folder = pathlib.Path(data_dir) / OrderedMotionBuilder.name / config.name / version
    if not folder.is_dir():
        return OrderedMotionBuilder(data_dir=data_dir, config=config)
    with reading_metadata(folder, f"remove {folder}, and it is drawn again"):
        return OrderedMotionBuilder(data_dir=data_dir, config=config)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS from printing about downloads; the clips report for themselves."""
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()
        absl.setLevel(level)


def _check(options: OrderedMotion) -> None:
    if options.side < 8 or options.side % 2:
        raise ValueError(f"side must be even and >= 8 pixels, got {options.side}")
    for name in ("frames", "train_clips", "validation_clips", "test_clips"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} must be >= 1, got {getattr(options, name)}")
    if options.seed < 0:
        raise ValueError(f"seed must be >= 0, got {options.seed}")


def open_split(
    split: str, *, data_dir: str, options: OrderedMotion | None = None
) -> Split:
    """Opens a split, drawing the dataset first where it is missing; see `build`."""
    builder = build(data_dir, options or OrderedMotion())
    return Split(
        source=TfdsSource(open_rows(builder, split), _record),
        classes=CLASSES,
        flip_labels=FLIP_LABELS,
        reversed_labels=REVERSED_LABELS,
    )


def _record(record: Mapping[str, Any], row: int) -> Record:
    """TFDS gives text as bytes, and numbers of any width."""
    del row
    return Record(
        video=record["video"],
        label=int(record["label"]),
        id=record["id"].decode(),
        num_frames=int(record["num_frames"]),
        fps=float(record["fps"]),
    )
