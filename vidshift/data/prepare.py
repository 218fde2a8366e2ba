"""Turns a data set as it is distributed into sharded records that training reads.

    python -m vidshift.data.prepare something_v2 --source ~/Downloads/ssv2 --out datasets
    python -m vidshift.data.prepare folder --source my_videos --out datasets
    python -m vidshift.data.prepare kinetics400 --source k400 --check

NAME is a data set of vidshift.data.annotations, whose file there says what is expected
below --source; `folder` is any folder of videos, a sub-folder for each class, or a CSV of
file, label and optional start and end. Started again with the same arguments, a
preparation that was interrupted goes on, and ends with the same bytes. What cannot be
decoded is left out, counted and listed.

Of `folder` the class of a mirror image is read from the names ("swipe left", "swipe
right"), and printed. --mirror="swipe left=swipe right" says what the names do not, and
--mirror="right hook=right hook" that a class is its own mirror image; given again, with
other pairs, it changes nothing but them.
"""

if __name__ == "__main__":
    from vidshift.command_errors import one_line

    one_line()  # before the imports, which take seconds

import argparse
import contextlib
import csv
import functools
import hashlib
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator

from filelock import FileLock, Timeout

from vidshift import command_errors
from vidshift.arguments import count
from vidshift.class_names import difference, listed
from vidshift.data import flow, records, storage
from vidshift.data.annotations import DATASETS, mirrored
from vidshift.data.annotations.clip import Annotations, Clip
from vidshift.data.progress import Progress
from vidshift.data.records import Shard
from vidshift.data.workers import Failed, results

# An interruption loses at most so many clips.
CLIPS_PER_SHARD = 128
LEFT_OUT = "left_out.csv"


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        annotations = _annotations(options)
        _report_classes(options.name, annotations)
        if options.check:
            return check(annotations, options.name, workers=options.workers)
        return prepare(
            annotations,
            options.name,
            out=options.out,
            stored_as=options.storage,
            modality=options.modality,
            workers=options.workers,
            retry=options.retry,
        )
    except KeyboardInterrupt:
        print("\nprepare: stopped; the same command goes on", file=sys.stderr)
        return 130
    except UnicodeEncodeError as error:
        name = ascii(error.object)
        print(f"prepare: error: a name is not in UTF-8: {name}", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"prepare: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def prepare(
    annotations: Annotations,
    name: str,
    *,
    out: str | os.PathLike,
    stored_as: str = "fast",
    modality: str = "rgb",
    workers: int = 1,
    retry: bool = False,
) -> int:
    """Writes `OUT/NAME/CONFIG/VERSION`, or goes on with it.

    Args:
      annotations: of the data set.
      name: of the data set.
      out: folder of all prepared data sets.
      stored_as: a name in storage.STORAGES.
      modality: "rgb" or "flow".
      workers: processes that decode and encode.
      retry: try again what was left out, with all other clips of its shards.

    Returns:
      0; 1 where no clip at all can be decoded.

    Raises:
      ValueError: arguments that do not go together, another process is preparing it, or
        it was begun from other annotations.
      OSError: nothing can be written, such as on a full disk.
    """
    _refuse_copies_of_parts(annotations, stored_as, modality)
    final = (
        pathlib.Path(out) / name / config_name(stored_as, modality) / records.VERSION
    )
    folder = final.with_name(f"{records.VERSION}.incomplete")
    if final.is_dir() and not retry and records.has_metadata(final):
        # No lock is needed, and the disk may be one that nothing can be written to.
        _take_up(final, _plan(annotations, stored_as, modality))
        print(f"{final} is there already; nothing to do")
        return 0
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(final.with_name(f"{records.VERSION}.lock"), timeout=0)
    try:
        held = lock.acquire()
    except Timeout:
        raise ValueError(f"another process is preparing {final}") from None
    with held:
        plan = _plan(annotations, stored_as, modality)
        if final.is_dir():
            _take_up(final, plan)
            # Another process may have made it meanwhile.
            if not retry and records.has_metadata(final):
                print(f"{final} is there already; nothing to do")
                return 0
            final.rename(folder)
        _begin(folder, plan, retry)
        shards = _write_all(folder, annotations, stored_as, modality, workers)
        every = [shard for found in shards.values() for shard in found]
        if not any(shard.clips for shard in every):
            first = _named(*every[0].failures[0])
            print(
                f"prepare: no clip can be decoded; the first: {first}", file=sys.stderr
            )
            return 1
        records.write_metadata(folder, annotations, shards, f"{name}, {stored_as}")
        _write_left_out(folder / LEFT_OUT, annotations, shards)
        folder.rename(final)
    _report(final, name, annotations, shards)
    return 0


def check(annotations: Annotations, name: str, *, workers: int = 1) -> int:
    """Decodes every clip and writes nothing; 1 if one cannot be decoded."""
    left_out = []
    with Progress(name, len(annotations.clips)) as progress:
        for clip, number in results(storage.count, annotations.clips, workers=workers):
            failed = isinstance(number, Failed)
            if failed:
                left_out.append((clip.id, str(number)))
            progress(1, failed)
    for clip_id, reason in left_out:
        print(f"cannot be decoded: {_named(clip_id, reason)}")
    found = {
        split: [clip for clip in annotations.clips if split in clip.splits]
        for split in _splits(name, annotations)
    }
    bad = {clip_id for clip_id, _ in left_out}
    for split, clips in found.items():
        print(_counts(name, split, len(clips), sum(clip.id in bad for clip in clips)))
    return 1 if left_out else 0


def _named(clip_id: str, reason: str) -> str:
    """What a process died of does not say on which clip."""
    return reason if reason.startswith(f"{clip_id}: ") else f"{clip_id}: {reason}"


def _report_classes(name: str, annotations: Annotations) -> None:
    """Says how the annotations were understood."""
    for line in annotations.warnings:
        print(f"prepare: warning: {line}", file=sys.stderr)
    if name != "folder":
        return
    classes, flips = annotations.classes, annotations.flip_labels
    number = f"{len(classes)} class{'es' * (len(classes) > 1)}"
    print(f"{name}: {number}: {listed(classes)}")
    if swaps := mirrored.swaps(classes, flips):
        print(f"{name}: a mirror image swaps {swaps}")
    if without := mirrored.without_mirror(classes, flips):
        print(
            f"prepare: warning: {mirrored.why_none(without)}: training refuses to flip; "
            f'--mirror="{without[0]}=CLASS" says what it is',
            file=sys.stderr,
        )


def config_name(stored_as: str, modality: str) -> str:
    return stored_as if modality == "rgb" else f"{modality}_{stored_as}"


def groups(annotations: Annotations) -> dict[str, list[Clip]]:
    """The clips by the splits that they are in: a TFDS split for each."""
    found: dict[str, list[Clip]] = {}
    for clip in annotations.clips:
        found.setdefault(records.AND.join(clip.splits), []).append(clip)
    return found


def _splits(name: str, annotations: Annotations) -> list[str]:
    found = {split for clip in annotations.clips for split in clip.splits}
    return [split for split in DATASETS[name].SPLITS if split in found]


def _plan(annotations: Annotations, stored_as: str, modality: str) -> dict:
    """What has to be the same when a preparation goes on."""
    listed = hashlib.sha256()
    for clip in annotations.clips:
        # Where the source lies may change.
        what = (clip.id, clip.splits, clip.label, clip.start, clip.end, clip.spans)
        listed.update(repr(what).encode())
    return {
        "storage": stored_as,
        "modality": modality,
        "classes": list(annotations.classes),
        "flip_labels": annotations.flip_labels and list(annotations.flip_labels),
        "mirrors_version": records.MIRRORS_VERSION,
        "multi_label": annotations.multi_label,
        "tasks": dict(annotations.tasks),
        "clips": len(annotations.clips),
        "annotations_sha256": listed.hexdigest(),
    }


def _take_up(folder: pathlib.Path, plan: dict) -> None:
    """Raises where a folder is of another plan; mirror images, in no record, may change."""
    begun = records.read_description(folder)
    for field, value in plan.items():
        if (
            field not in ("flip_labels", "mirrors_version")
            and begun.get(field) != value
        ):
            what = f"{field} differs"
            if field == "classes":
                differs = difference(begun["classes"], value, us="it", them="--source")
                what = f"classes differ: {differs}"
            raise ValueError(
                f"{folder} was made of other annotations ({what}); remove it, "
                "or give another --out"
            )
    if begun != plan:
        records.write_json(folder / records.DESCRIPTION, plan)


def _begin(folder: pathlib.Path, plan: dict, retry: bool) -> None:
    if (folder / records.DESCRIPTION).is_file():
        _take_up(folder, plan)
    else:
        if folder.is_dir():  # not even begun
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        records.write_json(folder / records.DESCRIPTION, plan)
    for partial in folder.glob("*.partial"):
        partial.unlink()
    if retry:
        for path in folder.glob("*.array_record-*-of-?????"):
            shard = records.read_shard(path)
            if shard and shard.failures:
                path.unlink()


def _write_all(
    folder: pathlib.Path,
    annotations: Annotations,
    stored_as: str,
    modality: str,
    workers: int,
) -> dict[str, list[Shard]]:
    serialize = records.Serializer(annotations, stored_as)
    work = functools.partial(
        storage.store,
        storage=stored_as,
        pictures_of=flow.pictures if modality == "flow" else None,
    )
    parts = []  # (split, path, its clips)
    for split, clips in groups(annotations).items():
        count = -(-len(clips) // CLIPS_PER_SHARD)
        parts += [
            (
                split,
                records.shard_path(folder, split, index, count),
                clips[index * CLIPS_PER_SHARD : (index + 1) * CLIPS_PER_SHARD],
            )
            for index in range(count)
        ]
    done = {path: records.read_shard(path) for _, path, _ in parts}
    clips = [clip for _, path, part in parts if not done[path] for clip in part]
    # All clips go through one queue, so that no core waits at the end of a shard.
    stored = results(work, clips, workers=workers)
    progress = Progress(folder.parents[1].name, len(annotations.clips))

    def of_shard(part: list[Clip]) -> Iterator[list[bytes] | tuple[str, str]]:
        for _, (clip, result) in zip(part, stored):
            failed = isinstance(result, Failed)
            progress(1, failed)
            yield (clip.id, str(result)) if failed else serialize(clip, result)

    found: dict[str, list[Shard]] = {}
    with contextlib.closing(stored), progress:
        for shard in filter(None, done.values()):
            number, failed = shard.clips + len(shard.failures), len(shard.failures)
            progress(number, failed, resumed=True)
        for split, path, part in parts:
            shard = done[path] or records.write_shard(path, of_shard(part))
            found.setdefault(split, []).append(shard)
    return found


def _refuse_copies_of_parts(
    annotations: Annotations, stored_as: str, modality: str
) -> None:
    if stored_as != "copy":
        return
    if modality == "flow":
        raise ValueError("flow is computed, no file to copy: --storage=fast or frames")
    for clip in annotations.clips:
        part = clip.start is not None or clip.end is not None
        if part and not clip.path.is_dir():
            raise ValueError(
                f"--storage=copy keeps files as they are, but {clip.id} is a part of "
                f"{clip.path}: --storage=fast or frames"
            )


def _write_left_out(
    path: pathlib.Path, annotations: Annotations, shards: dict[str, list[Shard]]
) -> None:
    paths = {clip.id: clip.path for clip in annotations.clips}
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("id", "file", "reason"))
        for found in shards.values():
            for shard in found:
                rows.writerows((name, paths[name], why) for name, why in shard.failures)


def _report(
    folder: pathlib.Path,
    name: str,
    annotations: Annotations,
    shards: dict[str, list[Shard]],
) -> None:
    size_bytes = sum(shard.size_bytes for found in shards.values() for shard in found)
    for split in _splits(name, annotations):
        own = [
            s
            for group, found in shards.items()
            if split in group.split(records.AND)
            for s in found
        ]
        left_out = sum(len(shard.failures) for shard in own)
        listed = left_out + sum(shard.clips for shard in own)
        print(_counts(name, split, listed, left_out))
    print(f"{folder}: {size_bytes / 1e9:.3f} GB")
    if any(shard.failures for found in shards.values() for shard in found):
        print(f"what is left out, and why: {folder / LEFT_OUT}")


def _counts(name: str, split: str, listed: int, left_out: int) -> str:
    """A line that says where a split differs from the official one."""
    line = f"{name} {split}: {listed - left_out:,} clips"
    if left_out:
        line += f", {left_out:,} of {listed:,} left out"
    official = DATASETS[name].COUNTS.get(split)
    if official is not None and official != listed:
        line += f"; the annotations list {listed:,}, officially {official:,}"
    return line


def _annotations(options: argparse.Namespace) -> Annotations:
    if "://" in str(options.out):
        raise ValueError(
            f"--out={options.out} must be a folder: records are written and read as "
            "files. Install Cloud Storage FUSE (`gcsfuse BUCKET DIR`) and give DIR"
        )
    if not options.check and options.out is None:
        raise ValueError("--out=DIR is needed, or --check")
    if not options.source.is_dir():
        raise ValueError(f"--source={options.source} is no folder")
    if options.modality == "flow":
        flow.check_installed()
    own = {}
    for field in ("csv", "validation_share", "test_share", "fps", "mirror"):
        value = getattr(options, field)
        if value is not None:
            if options.name != "folder":
                flag = field.replace("_", "-")
                raise ValueError(f"--{flag} is for NAME=folder")
            own[field] = value
    print(f"{options.name}: listing {options.source}", flush=True)
    return DATASETS[options.name].read(options.source, **own)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vidshift.data.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("name", choices=list(DATASETS), metavar="NAME", help=", ".join(DATASETS))
    add("--source", required=True, type=pathlib.Path, metavar="DIR")
    add("--out", metavar="DIR", help="of all prepared data sets (config.data.dir)")
    add(
        "--storage",
        choices=list(storage.STORAGES),
        default="fast",
        help="fast: H.264, a keyframe every 4 frames, short side 256; copy: the file as "
        "it is; frames: a JPEG each frame",
    )
    add(
        "--modality",
        choices=["rgb", "flow"],
        default="rgb",
        help="flow: TV-L1, of each frame to the next (requirements-flow.txt)",
    )
    add("--workers", type=count, default=_cores(), metavar="N", help="all cores")
    add("--check", action="store_true", help="decode every clip, write nothing")
    add("--retry", action="store_true", help="try again what was left out")
    add("--csv", metavar="FILE", help="of folder: file, label, start, end, split")
    for split in ("validation", "test"):
        names = f"--{split}-share", f"--{split}_share"
        add(*names, type=float, metavar="X", help="of folder; 0.1")
    add(
        "--mirror",
        action="append",
        metavar="CLASS=CLASS",
        help="of folder: two classes that are each other's mirror image; as often as needed",
    )
    add("--fps", type=float, metavar="X", help="of folder's clips that are frames")
    return parser


def _cores() -> int:
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count()
    )


if __name__ == "__main__":
    command_errors.run(main)
