"""Kinetics-400: ten-second clips of 400 human actions, from YouTube.

Videos have vanished from YouTube since, so copies differ in what they hold. That of the
CVDF, https://github.com/cvdfoundation/kinetics-dataset, has nearly all, and unpacks to
`k400/`, which is SOURCE:

    SOURCE/
      annotations/train.csv, val.csv, test.csv
                                    label,youtube_id,time_start,time_end,split
      train/ID_000010_000020.mp4    ID of the video, seconds that were cut from it
      val/..., test/...
      replacement/replacement_for_corrupted_k400/...
                                    taken instead of files that are damaged

Files may also lie in a folder for each class (`train/abseiling/ID_000010_000020.mp4`),
be named ID alone, and be in `validate/` for `val/`; the tables may lie in SOURCE and be
named `kinetics_train.csv` and so on or `validate.csv`. A test table without labels is
passed over. Without any table, clips are what the folders of classes hold (`train/CLASS`,
`val/CLASS`, `test/CLASS`). A mirror image keeps its class.
"""

import pathlib

from vidshift.data.annotations import folder, media, mirrored, reading
from vidshift.data.annotations.clip import Annotations, Clip
from vidshift.data.annotations.dataset import VideoDataset

SPLITS = ("train", "validation", "test")
NAMES = {
    "train": ("train",),
    "validation": ("val", "validate", "validation"),
    "test": ("test",),
}
REPLACEMENT = "replacement/replacement_for_corrupted_k400"


def read(source: pathlib.Path) -> Annotations:
    tables = {split: _tables(split) for split in SPLITS}
    present = {
        split: any((source / name).is_file() for name in names)
        for split, names in tables.items()
    }
    if not any(present.values()) and folder.has_splits(source):
        return folder.of_folders(source)
    clips: dict[str, Clip] = {}
    labels: dict[str, int] = {}
    for split in SPLITS:
        if split == "test" and not present[split]:
            continue
        path = reading.find(source, *tables[split])
        if split == "test" and "label" not in next(reading.rows(path), ("", []))[1]:
            continue
        columns = ("label", "youtube_id", "time_start", "time_end")
        rows = list(reading.table(path, *columns))
        if split == "train":
            names = sorted({row["label"] for _, row in rows})
            labels = reading.numbered(names, path)
        top = media.folder(source, *NAMES[split])
        videos = media.by_stem(source / REPLACEMENT, top)
        for place, row in rows:
            start, end = (
                round(reading.seconds(row[column], place, column))
                for column in ("time_start", "time_end")
            )
            id = f"{row['youtube_id']}_{start:06d}_{end:06d}"
            path = videos.get(id) or videos.get(row["youtube_id"], top / f"{id}.mp4")
            label = reading.label_of(row["label"], labels, place)
            reading.add(clips, Clip(id, path, (split,), label), place)
    classes = tuple(labels)
    return Annotations(
        tuple(clips.values()), classes, flip_labels=mirrored.unchanged(classes)
    )


def _tables(split: str) -> tuple[str, ...]:
    names = [f"{prefix}{name}" for prefix in ("", "kinetics_") for name in NAMES[split]]
    return tuple(
        f"{place}{name}.csv" for place in ("annotations/", "") for name in names
    )


DATASET = VideoDataset(
    read,
    SPLITS,
    # As published.
    counts={"train": 246_534, "validation": 19_906, "test": 38_685},
    num_classes=400,
)
