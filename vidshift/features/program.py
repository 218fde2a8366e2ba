"""Features of many videos, written to files: `vidshift features`."""

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Iterator

import jax

from vidshift.checkpoints import checksums
from vidshift.command_line.errors import check_out, interrupted_at_once
from vidshift.command_line.progress import SECONDS_BETWEEN_LINES, to_stderr, working
from vidshift.data.annotations import media
from vidshift.data.media import flow
from vidshift.data.media.video import VideoError
from vidshift.data.parallel.workers import cores
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.split import Split, where
from vidshift.devices.compilation_cache import keep_programs
from vidshift.features.ahead import ahead
from vidshift.features.plan import Plan
from vidshift.features.reading import Read, Reader, Video, features
from vidshift.features.store import Store
from vidshift.run import Run


def main(options: argparse.Namespace) -> int:
    try:
        return write(options)
    except KeyboardInterrupt:
        to_stderr("\nfeatures: stopped; the same command goes on")
        return 130


def write(options: argparse.Namespace) -> int:
    """Writes the features that the options of `vidshift features` ask for.

    Returns:
      1 where no video could be decoded, else 0.

    Raises:
      ValueError: options that do not fit each other, the network or the folder.
    """
    check_out("--out", options.out, folder=True)
    if (options.source is None) == (options.data is None):
        raise ValueError("give --source or --data")
    if options.data and options.flow:
        raise ValueError("--flow is for --source: a prepared data set has one modality")
    if options.flow:
        flow.check_installed()
    with interrupted_at_once():
        jax.devices()
    keep_programs()
    runs = [
        Run.open(path, options.checkpoint)
        for path in (options.run, options.flow)
        if path is not None
    ]
    plan = Plan.of(
        runs,
        window=options.window,
        stride=options.stride,
        fps=options.fps,
        layer=options.layer,
        stream=options.stream,
    )
    if options.data:
        split = split_of(runs[0], options)
        videos = [
            Video(where(split.source, row), split=split, row=row)
            for row in range(len(split.source))
        ]
    else:
        videos = list(files(pathlib.Path(options.source)))
    folder = pathlib.Path(options.out).expanduser()
    store = Store(folder, settings(plan, options), format=options.format)
    made = {
        name: row.get("row") for name, row in store.videos.items() if store.has(name)
    }
    if options.data:
        rows = set(made.values())
        videos = [video for video in videos if video.row not in rows]
    else:
        videos = [video for video in videos if video.name not in made]
    began, before = time.monotonic(), len(store.videos)
    try:
        if videos:
            _write(plan, videos, store, options)
    except KeyboardInterrupt:
        store.save()
        raise
    store.save()
    for name, reason in store.failures.items():
        named = reason if reason.startswith(name) else f"{name}: {reason}"
        print(f"left out: {named}", file=sys.stderr)
    rows = store.videos.values()
    print(
        json.dumps(
            {
                "out": options.out,
                "videos": len(store.videos),
                "made_before": before,
                "failed": len(store.failures),
                "windows": sum(row["windows"] for row in rows),
                "feature_shape": store.feature_shape,
                "seconds": round(time.monotonic() - began, 2),
            }
        )
    )
    return 1 if store.failures and not store.videos else 0


def _write(
    plan: Plan, videos: list[Video], store: Store, options: argparse.Namespace
) -> None:
    """Extracts the features of videos, one after another."""
    with working("building the network"):
        networks = plan.networks(batch_size=options.batch_size, soft=options.soft)
    if not plan.stream and all(
        run.description.model.get("causal") for run in plan.runs
    ):
        to_stderr("the network is causal: --stream computes each frame once")
    progress = _Progress(len(videos))
    read = Reader(plan, options.batch_size)
    threads = min(options.workers or cores(), len(videos))
    with ahead(read, videos, threads=threads) as results:
        for video, parts in results:
            name = video.name
            try:
                name = next(parts)
                with store.writing(name) as rows:

                    def write(features, rows=rows):
                        rows.append(features)
                        progress.windows(len(features))

                    end = features(plan, networks, parts, write)
                    rows.finish(described(plan, end, video))
            except VideoError as error:
                store.failures[name] = str(error)
            progress.video()


def described(plan: Plan, end: Read, video: Video) -> dict:
    """Returns what `features.json` says of a video, besides the number of windows."""
    row = {
        "frames": end.frames,
        "fps": end.fps or None,
        # Of the first window; the next follow at stride / fps.
        "centre_seconds": plan.windows.centre(0, end.fps) if end.fps else None,
    }
    if end.frames < plan.windows.size:
        row["repeated_frames"] = plan.windows.size - end.frames
    if video.split is not None:
        row |= {"row": video.row, "label": end.label}
    return row


def settings(plan: Plan, options: argparse.Namespace) -> dict:
    """Returns what all features of a folder have in common."""
    if options.data:
        data = {"data": options.data, "split": options.split}
    else:
        data = {"source": str(pathlib.Path(options.source).expanduser().absolute())}
    return {
        "networks": [
            {
                "network": run.description.name,
                "modality": run.description.input.modality,
                "checkpoint": str(run.checkpoint),
                "weights": checksums.digest(run.checkpoint, "weights"),
            }
            for run in plan.runs
        ],
        "layer": plan.layer,
        "window": plan.windows.size,
        "stride": plan.stride,
        "fps": plan.fps,
        "stream": plan.stream,
        "soft": options.soft,
        **data,
    }


def split_of(run: Run, options: argparse.Namespace) -> Split:
    """Opens the split that the options name, as frames that the run's network takes.

    Raises:
      ValueError: there is none, or it has frames of another kind.
    """
    data, shown = run.description.config.data, run.description.input
    folder = options.data_dir or data.dir
    own = data.options if options.data == data.name else None
    if own is None and shown.modality != "rgb":
        own = {"modality": shown.modality, "stack": shown.stack}
    split = open_split(options.data, options.split, data_dir=folder, options=own)
    if (split.modality, split.stack) != (shown.modality, shown.stack):
        raise ValueError(
            f"{run.checkpoint} takes {shown.modality} of {shown.stack}, and "
            f"{options.data} in {folder} has {split.modality} of {split.stack}"
        )
    return split


def files(source: pathlib.Path) -> Iterator[Video]:
    """Yields the videos below a folder, or the one file, by their relative names.

    Raises:
      ValueError: there is none, or two have one name but for the suffix.
    """
    source = source.expanduser()
    if not source.exists():
        raise ValueError(f"--source={source} is not there")
    paths = [source] if source.is_file() else list(_below(source))
    if not paths:
        raise ValueError(
            f"--source={source} has no video ({' '.join(media.VIDEOS)}) below it"
        )
    top = source.parent if source.is_file() else source
    named: dict[str, pathlib.Path] = {}
    for path in paths:
        name = path.relative_to(top).with_suffix("").as_posix()
        if name in named:
            raise ValueError(
                f"{named[name]} and {path} would have one file of features: rename one"
            )
        named[name] = path
        yield Video(name, path)


def _below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    media.check_loop(folder)
    for entry in media.entries(folder):
        if media.is_folder(entry):
            yield from _below(pathlib.Path(entry.path))
        elif media.holds_video(entry):
            yield pathlib.Path(entry.path)


class _Progress:
    """Says every 10 seconds how many videos and windows are done."""

    def __init__(self, videos: int):
        self._total, self._videos, self._windows = videos, 0, 0
        self._said = time.monotonic()

    def windows(self, number: int) -> None:
        self._windows += number
        now = time.monotonic()
        if now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            to_stderr(
                f"extracted {self._windows:,} windows, {self._videos:,} of "
                f"{self._total:,} videos done"
            )

    def video(self) -> None:
        self._videos += 1
