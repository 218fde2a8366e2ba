"""Writes the prepared form of a data set, or goes on with it."""

import collections
import contextlib
import csv
import functools
import hashlib
import itertools
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from filelock import FileLock, Timeout

from vidshift.class_names import difference, listed
from vidshift.data.annotations import DATASETS, mirrored
from vidshift.data.annotations.clip import Annotations, Clip
from vidshift.data.media import flow
from vidshift.data.media.video import VideoError
from vidshift.data.parallel.clip_progress import ClipProgress
from vidshift.data.parallel.workers import Failed, results
from vidshift.data.records import builder, storage
from vidshift.data.records.builder import Shard

# An interruption loses at most so many clips.
CLIPS_PER_SHARD = 128
LEFT_OUT = "left_out.csv"
# Kinds of reasons that the report counts.
MOST_KINDS = 6


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
      stored_as: one of the data set's storages.
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
    _refuse_storage(annotations, stored_as, modality)
    config = stored_as if modality == "rgb" else f"{modality}_{stored_as}"
    final = pathlib.Path(out) / name / config / builder.VERSION
    folder = final.with_name(f"{builder.VERSION}.incomplete")
    plan = _plan(annotations, stored_as, modality)
    # No lock is needed, and the disk may be one that nothing can be written to.
    if not retry and _is_done(final, plan):
        return 0
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(final.with_name(f"{builder.VERSION}.lock"), timeout=0)
    try:
        held = lock.acquire()
    except Timeout:
        raise ValueError(f"another process is preparing {final}") from None
    with held:
        # Another process may have made it meanwhile.
        if not retry and _is_done(final, plan):
            return 0
        if final.is_dir():
            _take_up(final, plan)
            final.rename(folder)
        _begin(folder, plan, retry)
        shards = _write_all(folder, annotations, stored_as, modality, workers)
        every = list(itertools.chain(*shards.values()))
        if not any(shard.clips for shard in every):
            first = _named(*every[0].failures[0])
            print(
                f"prepare: no clip can be decoded; the first: {first}", file=sys.stderr
            )
            return 1
        builder.write_metadata(folder, annotations, shards, f"{name}, {stored_as}")
        _write_left_out(folder / LEFT_OUT, annotations, every)
        folder.rename(final)
    _report(final, name, annotations, shards)
    return 0


def check(annotations: Annotations, name: str, *, workers: int = 1) -> int:
    """Decodes every clip and writes nothing; 1 if one cannot be decoded."""
    left_out = []
    count = functools.partial(_or_failed, storage.count)
    with ClipProgress(name, len(annotations.clips)) as progress:
        for clip, number in results(count, annotations.clips, workers=workers):
            failed = isinstance(number, Failed)
            if failed:
                left_out.append((clip.id, number.reason))
            progress(1, failed)
    for clip_id, reason in left_out:
        print(f"cannot be decoded: {_named(clip_id, reason)}")
    bad = {clip_id for clip_id, _ in left_out}
    for split in _splits(name, annotations):
        clips = [clip for clip in annotations.clips if split in clip.splits]
        print(_counts(name, split, len(clips), sum(clip.id in bad for clip in clips)))
    return 1 if left_out else 0


def _or_failed(function: Callable[..., Any], clip: Clip, **options: Any) -> Any:
    try:
        return function(clip, **options)
    except VideoError as error:
        return Failed(str(error))


def _named(clip_id: str, reason: str) -> str:
    """Returns the reason with the clip's id, which a process that died did not add."""
    return reason if reason.startswith(f"{clip_id}: ") else f"{clip_id}: {reason}"


def report_classes(name: str, annotations: Annotations) -> None:
    """Prints the classes, their mirror images and the warnings of the annotations."""
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


def groups(annotations: Annotations) -> dict[str, list[Clip]]:
    """Returns the clips of each TFDS split: one for every set of splits of a clip."""
    clips: dict[str, list[Clip]] = {}
    for clip in annotations.clips:
        clips.setdefault(builder.AND.join(clip.splits), []).append(clip)
    return clips


def _splits(name: str, annotations: Annotations) -> list[str]:
    present = {split for clip in annotations.clips for split in clip.splits}
    return [split for split in DATASETS[name].splits if split in present]


def _plan(annotations: Annotations, stored_as: str, modality: str) -> dict:
    """Returns the facts that must be the same when a preparation goes on."""
    listed = hashlib.sha256()
    for clip in annotations.clips:
        # Where the source lies may change.
        what = (clip.id, clip.splits, clip.label, clip.start, clip.end, clip.spans)
        if clip.playback is not None:
            what += (clip.playback,)
        listed.update(repr(what).encode())
    return {
        "storage": stored_as,
        "modality": modality,
        "classes": list(annotations.classes),
        "flip_labels": annotations.flip_labels and list(annotations.flip_labels),
        **annotations.task.to_json(),
        "clips": len(annotations.clips),
        "annotations_sha256": listed.hexdigest(),
    }


def _is_done(folder: pathlib.Path, plan: dict) -> bool:
    if not (folder.is_dir() and builder.has_metadata(folder)):
        return False
    _take_up(folder, plan)
    print(f"{folder} is there already; nothing to do")
    return True


def _take_up(folder: pathlib.Path, plan: dict) -> None:
    """Raises where a folder is of another plan; mirror images, in no record, may change."""
    begun = builder.read_description(folder)
    for field, value in plan.items():
        if field != "flip_labels" and begun.get(field) != value:
            what = f"{field} differs"
            if field == "classes":
                differs = difference(begun["classes"], value, us="it", them="--source")
                what = f"classes differ: {differs}"
            raise ValueError(
                f"{folder} was made of other annotations ({what}); remove it, "
                "or give another --out"
            )
    if begun != plan:
        builder.write_json(folder / builder.DESCRIPTION, plan)


def _begin(folder: pathlib.Path, plan: dict, retry: bool) -> None:
    if (folder / builder.DESCRIPTION).is_file():
        _take_up(folder, plan)
    else:
        if folder.is_dir():  # not even begun
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        builder.write_json(folder / builder.DESCRIPTION, plan)
    for partial in folder.glob("*.partial"):
        partial.unlink()
    if retry:
        for path in folder.glob("*.array_record-*-of-?????"):
            shard = builder.read_shard(path)
            if shard and shard.failures:
                path.unlink()


def _write_all(
    folder: pathlib.Path,
    annotations: Annotations,
    stored_as: str,
    modality: str,
    workers: int,
) -> dict[str, list[Shard]]:
    serialize = builder.Serializer(annotations, stored_as)
    store = functools.partial(
        _or_failed,
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
                builder.shard_path(folder, split, index, count),
                clips[index * CLIPS_PER_SHARD : (index + 1) * CLIPS_PER_SHARD],
            )
            for index in range(count)
        ]
    done = {path: builder.read_shard(path) for _, path, _ in parts}
    clips = [clip for _, path, part in parts if not done[path] for clip in part]
    # All clips go through one queue, so that no core waits at the end of a shard.
    stored = _stored(store, clips, workers)
    progress = ClipProgress(folder.parents[1].name, len(annotations.clips))

    def of_shard(part: list[Clip]) -> Iterator[list[bytes] | tuple[str, str]]:
        for _, (clip, result) in zip(part, stored):
            failed = isinstance(result, Failed)
            progress(1, failed)
            yield (clip.id, result.reason) if failed else serialize(clip, result)

    shards: dict[str, list[Shard]] = {}
    with contextlib.closing(stored), progress:
        for shard in filter(None, done.values()):
            number, failed = shard.clips + len(shard.failures), len(shard.failures)
            progress(number, failed, resumed=True)
        for split, path, part in parts:
            shard = done[path] or builder.write_shard(path, of_shard(part))
            shards.setdefault(split, []).append(shard)
    return shards


def _stored(
    store: Callable[[Clip], Any], clips: Iterable[Clip], workers: int
) -> Iterator[tuple[Clip, Any]]:
    """Yields each clip with its result; windows of one part are made by one worker."""
    groups = (list(group) for _, group in itertools.groupby(clips, key=_part))
    made = results(functools.partial(_each, store), groups, workers=workers)
    with contextlib.closing(made):
        for group, result in made:
            failed = isinstance(result, Failed)
            yield from zip(group, [result] * len(group) if failed else result)


def _part(clip: Clip) -> tuple:
    if clip.playback is None:
        return (clip.id,)
    return clip.path, clip.start, clip.end


def _each(store: Callable[[Clip], Any], clips: Sequence[Clip]) -> list:
    return [store(clip) for clip in clips]


def _refuse_storage(annotations: Annotations, stored_as: str, modality: str) -> None:
    if stored_as == storage.KEYFRAMES and modality == "flow":
        raise ValueError("windows are stored as frames: --modality=rgb, got flow")
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
    path: pathlib.Path, annotations: Annotations, shards: list[Shard]
) -> None:
    paths = {clip.id: clip.path for clip in annotations.clips}
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("id", "file", "reason"))
        for shard in shards:
            rows.writerows((name, paths[name], why) for name, why in shard.failures)


def _report(
    folder: pathlib.Path,
    name: str,
    annotations: Annotations,
    shards: dict[str, list[Shard]],
) -> None:
    for split in _splits(name, annotations):
        of_split = [
            shard
            for group in shards
            if split in group.split(builder.AND)
            for shard in shards[group]
        ]
        left_out = sum(len(shard.failures) for shard in of_split)
        listed = left_out + sum(shard.clips for shard in of_split)
        print(_counts(name, split, listed, left_out))
    every = list(itertools.chain(*shards.values()))
    print(f"{folder}: {sum(shard.size_bytes for shard in every) / 1e9:.3f} GB")
    if any(shard.failures for shard in every):
        kinds = collections.Counter(
            why.removeprefix(f"{name}: ").partition(":")[0]
            for shard in every
            for name, why in shard.failures
        )
        most = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common(MOST_KINDS))
        print(f"left out: {most}{', ...' * (len(kinds) > MOST_KINDS)}")
        print(f"what is left out, and why: {folder / LEFT_OUT}")


def _counts(name: str, split: str, listed: int, left_out: int) -> str:
    """Returns a line that says where a split differs from the official one."""
    line = f"{name} {split}: {listed - left_out:,} clips"
    if left_out:
        line += f", {left_out:,} of {listed:,} left out"
    official = DATASETS[name].counts.get(split)
    if official is not None and official != listed:
        line += f"; the annotations list {listed:,}, officially {official:,}"
    return line
