"""Opens what `python -m vidshift.data.prepare` wrote."""

import bisect
import dataclasses
import functools
import pathlib

import tensorflow_datasets as tfds

from vidshift.data import flow, records, stacks, video
from vidshift.data.split import Record, Split
from vidshift.data.tfds_rows import TfdsRows, open_rows

# What a network is shown of a video, besides its frames.
MODALITIES = ("rgb", "flow", "rgb_diff")


@dataclasses.dataclass(slots=True)
class Prepared:
    """Which preparation of a data set is read, and what a network is shown of it."""

    # A name in vidshift.data.storage.STORAGES; None: the one that is there.
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
    ends: tuple[int, ...]
    # Frames that go into one, beyond itself.
    more: int
    multi_label: bool
    tasks: tuple[str, ...]

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, row: int) -> Record:
        part, place = self._place(row)
        found = part[place]
        label = found["label"]
        if self.tasks:
            label = tuple(int(label[task]) for task in self.tasks)
        elif self.multi_label:
            label = tuple(int(number) for number in label)
        else:
            label = int(label)
        record = Record(
            video=found["video"],
            label=label,
            id=found["id"].decode(),
            num_frames=max(1, int(found["num_frames"]) - self.more),
            fps=float(found["fps"]),
        )
        if self.multi_label:
            record["spans"] = tuple((float(a), float(b)) for a, b in found["spans"])
        return record

    def where(self, row: int) -> str:
        part, place = self._place(row)
        return part.where(place)

    def _place(self, row: int) -> tuple[TfdsRows, int]:
        part = bisect.bisect_right(self.ends, row)
        return self.parts[part], row - (self.ends[part - 1] if part else 0)


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
    builder = tfds.builder_from_directory(folder)
    groups = [
        group for group in builder.info.splits if split in group.split(records.AND)
    ]
    parts = [open_rows(builder, group) for group in groups]
    parts = tuple(part for part in parts if len(part))
    if not parts:
        raise ValueError(f"{folder} has no clip in the split {split!r}")
    ends, total = [], 0
    for part in parts:
        ends.append(total := total + len(part))
    rgb_diff = options.modality == "rgb_diff"
    more = options.stack - (0 if rgb_diff else 1)
    decode = video.decode
    if options.modality == "flow":
        decode = functools.partial(flow.decode, stack=options.stack)
    elif rgb_diff:
        decode = functools.partial(stacks.decode, stack=options.stack + 1)
    flip_labels = described["flip_labels"]
    return Split(
        source=PreparedSource(
            parts,
            tuple(ends),
            more=more,
            multi_label=described["multi_label"],
            tasks=tuple(described["tasks"]),
        ),
        classes=tuple(described["classes"]),
        flip_labels=None if flip_labels is None else tuple(flip_labels),
        decode=decode,
        multi_label=described["multi_label"],
        tasks=described["tasks"],
        modality=options.modality,
        stack=options.stack,
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
    how = f"`python -m vidshift.data.prepare {name} --source=... --out={data_dir}"
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
