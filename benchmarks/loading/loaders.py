"""Contenders that `vidshift.data.bench` times: the loader, and bare decoding beside it."""

import dataclasses
import itertools
import pathlib
import random
import statistics
import time
from collections.abc import Callable, Iterable
from typing import SupportsIndex

import numpy as np

from vidshift.data.annotations.clip import Annotations, Clip
from vidshift.data.loading import plan
from vidshift.data.loading.loader import train_batches
from vidshift.data.media import video
from vidshift.data.media.player import Player
from vidshift.data.parallel.workers import Workers
from vidshift.data.records import builder, storage
from vidshift.data.records.record import Record
from vidshift.data.sources import prepared
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View, train_clip
from vidshift.tasks import SINGLE_LABEL

# Clips that a bare process decodes at once.
CLIPS_AT_ONCE = 2


@dataclasses.dataclass(frozen=True)
class Contender:
    # Its columns in a row of the result.
    row: dict
    # (seconds) -> clips a second, and processor seconds a clip where they are known.
    turn: Callable[[float], tuple[float, float | None]]


def in_order(
    source: video.Source, indices: Iterable[SupportsIndex], *, name: str | None = None
) -> np.ndarray:
    """Decodes from the first frame to the last one wanted, as one would without an index."""
    indices = [int(index) for index in indices]
    player, pictures = Player(), {}
    for index, (frame, _) in enumerate(video.frames(source, name=name)):
        player.see(frame)
        if index in indices:
            pictures[index] = player.show(frame)
        if index == max(indices):
            break
    return np.stack([pictures[index] for index in indices])


# "selective" leaves out what no wanted frame needs.
DECODERS = {"selective": video.decode, "in order": in_order}


def prepare(path: pathlib.Path, stored_as: str, copies: int, out: pathlib.Path) -> dict:
    """Writes a data set of copies of a video, as `vidshift.data.prepare folder` does.

    Returns:
      `bytes` of a record's video and `store_seconds`, the processor time of making it.

    Raises:
      VideoError: the video cannot be read.
    """
    clip = Clip(id=path.name, path=path, splits=("train",), label=0)
    annotations = Annotations((clip,), classes=("video",))
    began = time.process_time()
    stored = storage.store(clip, stored_as)
    took = time.process_time() - began
    (out / f"{stored_as}.mp4").write_bytes(stored.video)
    folder = out / "folder" / stored_as / builder.VERSION
    folder.mkdir(parents=True)
    serialize = builder.Serializer(annotations, stored_as)
    shard = builder.write_shard(
        builder.shard_path(folder, "train", 0, 1),
        (
            serialize(dataclasses.replace(clip, id=f"{clip.id} {number}"), stored)
            for number in range(copies)
        ),
    )
    builder.write_metadata(folder, annotations, {"train": [shard]}, "copies of a video")
    described = {"storage": stored_as, "modality": "rgb", "classes": ["video"]}
    described |= {"flip_labels": None, **SINGLE_LABEL.to_json()}
    builder.write_json(folder / builder.DESCRIPTION, described)
    return {"bytes": len(stored.video), "store_seconds": took}


def contenders(
    out: pathlib.Path,
    stored_as: str,
    decoder: str,
    view: View,
    *,
    workers: list[tuple[str, int]],
    batch_size: int,
    cores: int,
) -> list[Contender]:
    """Returns the loader with each number of workers, and bare loops beside it."""
    options = prepared.Prepared(storage=stored_as)
    split = prepared.open_split("folder", "train", data_dir=str(out), options=options)
    if stored_as != builder.BY_FRAME:
        split = dataclasses.replace(split, decode=DECODERS[decoder])
    named = {"storage": stored_as, "decoder": decoder}
    needed = sorted({cores_of(number, cores) for _, number in workers})
    # The bare loop decodes the file that a record keeps.
    record = split.source[0] | {"video": (out / f"{stored_as}.mp4").read_bytes()}
    bare = Bare(record, view, decoder)
    return [
        Contender(
            named | {"loads": "bare", "workers": number},
            lambda seconds, n=number: _bare_turn(bare, n, seconds),
        )
        for number in needed
    ] + [
        Contender(
            named | {"loads": kind, "workers": number},
            lambda seconds, kind=kind, n=number: _loader_turn(
                split, view, kind, n, batch_size, seconds
            ),
        )
        for kind, number in workers
    ]


def cores_of(workers: int, cores: int) -> int:
    """Returns the cores that a number of workers decodes on."""
    return max(1, min(workers, cores))


@dataclasses.dataclass(frozen=True)
class Bare:
    """Decodes and cuts clips of one record from memory, and throws them away."""

    record: Record
    view: View
    decoder: str

    def __call__(self, element: int) -> float:
        began = time.process_time()
        for number in range(CLIPS_AT_ONCE):
            rng = plan.augmentation_rng(0, element * CLIPS_AT_ONCE + number)
            decode = DECODERS[self.decoder]
            train_clip(self.record, self.view, rng, may_flip=False, decode=decode)
        return time.process_time() - began


def _bare_turn(bare: Bare, cores: int, seconds: float) -> tuple[float, float]:
    # Processes: threads of one would wait for each other.
    with Workers(bare, cores, kind="process") as processes:
        done = processes.map(itertools.count())
        for _ in range(cores):
            next(done)
        used, began = [], time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds or not used:
            used.append(next(done)[1])
    clips = CLIPS_AT_ONCE * len(used)
    return clips / passed, sum(used) / clips


def _loader_turn(
    split: Split, view: View, kind: str, workers: int, batch_size: int, seconds: float
) -> tuple[float, None]:
    with train_batches(
        split,
        view,
        batch_size=batch_size,
        seed=0,
        workers=workers,
        worker_kind=kind,
    ) as batches:
        next(batches)
        clips, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds or not clips:
            clips += len(next(batches)["label"])
    return clips / passed, None


def compete(
    contenders: list[Contender], *, rounds: int, seconds: float
) -> list[list[tuple[float, float | None]]]:
    """Gives each contender a turn in each round and returns its results by round.

    The order is random, so that the machine's other work meets all of them alike.
    """
    turns: list[list] = [[] for _ in contenders]
    order = list(range(len(contenders)))
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for index in order:
            turns[index].append(contenders[index].turn(seconds))
    return turns


def rows(
    contenders: list[Contender],
    turns: list[list[tuple[float, float | None]]],
    cores: int,
) -> list[dict]:
    """Medians over the rounds, and those of the ratio to the bare loop in each round."""
    rates = [[rate for rate, _ in results] for results in turns]
    bare = {
        (c.row["storage"], c.row["decoder"], c.row["workers"]): by_round
        for c, by_round in zip(contenders, rates, strict=True)
        if c.row["loads"] == "bare"
    }
    table = []
    for contender, by_round, results in zip(contenders, rates, turns, strict=True):
        row = contender.row | {"clips_per_second": statistics.median(by_round)}
        used = [seconds for _, seconds in results if seconds is not None]
        if used:
            row["cpu_ms"] = 1e3 * statistics.median(used)
        key = (row["storage"], row["decoder"], cores_of(row["workers"], cores))
        if row["loads"] != "bare" and key in bare:
            pairs = zip(by_round, bare[key], strict=True)
            row["ratio"] = statistics.median(one / other for one, other in pairs)
        table.append(row)
    return table
