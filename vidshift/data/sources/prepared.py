"""Opens what `vidshift prepare` wrote."""

import bisect
import dataclasses
import functools
import itertools
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from vidshift import tasks
from vidshift.data.media import flow, stacks, video
from vidshift.data.records import builder as records
from vidshift.data.records import frame_rows
from vidshift.data.records.frame_rows import FrameRows
from vidshift.data.records.labels import form_of
from vidshift.data.records.record import Record
from vidshift.data.records.tfds_rows import TfdsRows, open_rows, reading_metadata
from vidshift.data.sources.split import Split
from vidshift.tasks import Task

# What a network is shown of a video, besides its frames.
MODALITIES = ("rgb", "flow", "rgb_diff")


@dataclasses.dataclass(slots=True)
class Prepared:
    """Preparation of a data set that is read, and the modality that a network is shown."""

    # A name in vidshift.data.records.storage.STORAGES; None: the one that is there.
    storage: str | None = None
    # "rgb"; "flow", prepared with --modality=flow; or "rgb_diff", the differences of
    # frames that follow each other.
    modality: str = "rgb"
    # Flow pictures or differences that a network sees as channels of one frame: 1, or 5
    # as in TSN and TSM.
    stack: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedSource:
    """The records of some TFDS splits, one after another."""

    parts: tuple[TfdsRows, ...]
    # Of each part, where in it each clip's records begin, and where the last ones end;
    # None: a clip has one.
    starts: tuple[np.ndarray | None, ...]
    # Clips up to the end of each part.
    ends: tuple[int, ...]
    # Frames that go into one, beyond itself.
    more: int
    task: Task

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, row: int) -> Record:
        part, first, count = self._place(row)
        found = part[first]
        source = found["video"]
        if count is not None:
            source = FrameRows(part, first, count)
        return Record(
            video=source,
            id=found["id"].decode(),
            num_frames=max(1, int(found["num_frames"]) - self.more),
            fps=float(found["fps"]),
            **form_of(self.task).decode(self.task, found),
        )

    def where(self, row: int) -> str:
        part, first, _ = self._place(row)
        return part.where(first)

    def _place(self, row: int) -> tuple[TfdsRows, int, int | None]:
        """The part, the clip's first record in it and their number."""
        number = bisect.bisect_right(self.ends, row)
        clip = row - (self.ends[number - 1] if number else 0)
        part, starts = self.parts[number], self.starts[number]
        if starts is None:
            return part, clip, None
        return part, int(starts[clip]), int(starts[clip + 1] - starts[clip])


def open_split(
    name: str,
    split: str,
    *,
    data_dir: str,
    options: Prepared | None = None,
) -> Split:
    """Opens a split of a data set that was prepared.

    Args:
      name: of the data set, in vidshift.data.annotations.DATASETS.
      split: one of its splits.
      data_dir: what the preparation was given as --out.

    Raises:
      ValueError: it is not prepared, or several ways and none is chosen, or has no clip
        in this split.
    """
    options = options or Prepared()
    _check(options)
    folder = _folder(name, data_dir, options)
    described = records.read_description(folder)
    remedy = "the command that prepared it makes it anew"
    with reading_metadata(folder, remedy):
        builder = tfds.builder_from_directory(folder)
    groups = [group for group, info in builder.info.splits.items() if info.num_examples]
    present = {name for group in groups for name in group.split(records.AND)}
    groups = [group for group in groups if split in group.split(records.AND)]
    if not groups:
        raise ValueError(
            f"{folder} has no clip in the split {split!r}, but in "
            f"{' and '.join(sorted(present)) or 'none'}; {_how_to_split(name, split)}"
        )
    parts = tuple(open_rows(builder, group) for group in groups)
    starts: list[np.ndarray | None] = [None] * len(parts)
    decode = functools.partial(video.decode, data_set=name)
    if described["storage"] == records.BY_FRAME:
        decode = functools.partial(frame_rows.decode, data_set=name)
        starts = [
            np.cumsum([0, *records.read_rows(folder, group, len(shards))])
            for group, shards in (
                (g, builder.info.splits[g].shard_lengths) for g in groups
            )
        ]
    clips = [
        len(part) if own is None else len(own) - 1
        for part, own in zip(parts, starts, strict=True)
    ]
    rgb_diff = options.modality == "rgb_diff"
    more = options.stack - (0 if rgb_diff else 1)
    if options.modality == "flow":
        decode = functools.partial(flow.decode, stack=options.stack, decode=decode)
    elif rgb_diff:
        stack = options.stack + 1
        decode = functools.partial(stacks.decode, stack=stack, decode=decode)
    flip_labels = described["flip_labels"]
    task = tasks.from_json(described)
    return Split(
        source=PreparedSource(
            parts,
            starts=tuple(starts),
            ends=tuple(itertools.accumulate(clips)),
            more=more,
            task=task,
        ),
        classes=tuple(described["classes"]),
        flip_labels=None if flip_labels is None else tuple(flip_labels),
        decode=decode,
        task=task,
        modality=options.modality,
        stack=options.stack,
    )


def _how_to_split(name: str, split: str) -> str:
    """Says how to do without clips of a split, or how to get some."""
    without = f"--config.data.{split}_split= trains without"
    if name != "folder" or split == "train":
        return "choose one of them" if split == "train" else without
    return (
        f"{without}, or prepare it again, with a folder {split}/, the column split, or a "
        f"larger --{split}-share, into another --out"
    )


def _check(options: Prepared) -> None:
    if options.modality not in MODALITIES:
        raise ValueError(
            f"modality must be one of {', '.join(MODALITIES)}, got {options.modality!r}"
        )
    if options.stack < 1:
        raise ValueError(f"stack must be >= 1, got {options.stack}")
    if options.modality == "rgb" and options.stack != 1:
        raise ValueError(
            f"stack is for flow and rgb_diff, got {options.stack} with rgb"
        )


def _folder(name: str, data_dir: str, options: Prepared) -> pathlib.Path:
    modality = "flow" if options.modality == "flow" else "rgb"
    root = pathlib.Path(data_dir) / name
    found = {}
    for path in sorted(root.glob(f"*/{records.VERSION}/{records.DESCRIPTION}")):
        described = records.read_description(path.parent)
        if described["modality"] == modality:
            found[described["storage"]] = path.parent
    how = f"`vidshift prepare {name} --source=... --out={data_dir}"
    how += " --modality=flow`" if modality == "flow" else "`"
    if options.storage is not None:
        found = {k: v for k, v in found.items() if k == options.storage}
        how = f"{how[:-1]} --storage={options.storage}`"
    if not found:
        unfinished = list(root.glob(f"*/{records.VERSION}.incomplete"))
        also = f" (begun, not finished: {unfinished[0]})" if unfinished else ""
        raise ValueError(
            f"{name} is not prepared in {data_dir}{also}; {how} prepares it"
        )
    if len(found) > 1:
        raise ValueError(
            f"{name} is prepared in several ways in {data_dir}: {', '.join(found)}; "
            "choose one by config.data.options.storage"
        )
    return next(iter(found.values()))
