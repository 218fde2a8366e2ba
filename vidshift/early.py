"""Early recognition, scored: `vidshift early`."""

import argparse
import collections
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from vidshift import stream
from vidshift.command_line.progress import Progress, to_stderr
from vidshift.data.sources.split import Split
from vidshift.devices import mesh
from vidshift.devices.compilation_cache import compiling, keep_programs
from vidshift.evaluation import evaluate
from vidshift.evaluation.early_views import SHARES, ObservedView, Streaming
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.frame_streams import FrameStreams
from vidshift.evaluation.protocols import Protocol
from vidshift.report.draw_early import draw_early
from vidshift.run import Run
from vidshift.tasks import Task

# Steps that the device is given before their answers are fetched.
STEPS_AHEAD = 16


def clip_step(model: nnx.Module, normalise: Callable) -> Callable:
    """Builds `(params, stats, batch) -> (logits [B, shares, classes], label, index)`."""

    graphdef, weights = nnx.split(model)
    run = jax.jit(lambda weights, x: nnx.merge(graphdef, weights)(normalise(x)))

    def step(params, stats, batch):
        del params, stats  # the model's own
        video = batch["video"]
        logits = [run(weights, video[:, clip]) for clip in range(video.shape[1])]
        return jnp.stack(logits, 1), batch["label"], batch["index"]

    return step


def score_streams(
    model: nnx.Module,
    normalise: Callable,
    streams: FrameStreams,
    *,
    batch_size: int,
    devices: Mesh,
    task: Task,
    progress: Progress,
) -> Scores:
    """Scores videos frame by frame, by the mean of the logits so far.

    Args:
      model: reads no later frame.
      streams: of the videos, as many at a time as `batch_size`.
      normalise, devices, task, progress: of the run, the machine, the split and the user.

    Returns:
      Scores with logits `[N, shares, classes]`.
    """
    init, one = stream.make(model, average="all")
    normalise = jax.jit(normalise)
    cache = None
    answers: dict[int, np.ndarray] = collections.defaultdict(
        lambda: np.zeros((len(SHARES), model.num_classes), np.float32)
    )
    waiting: list[tuple[jax.Array, tuple]] = []

    def note() -> None:
        for logits, due in waiting:
            logits = jax.device_get(logits)
            for place, row, share in due:
                answers[row][share] = logits[place]
        waiting.clear()
        progress.done(len(answers))

    for tick in streams:
        given = mesh.shard_batch(devices, {"frames": tick.frames, "reset": tick.reset})
        if cache is None:
            cache = init(batch_size, tick.frames.shape[1:3])
            with compiling("the stream's step", to_stderr):
                logits, cache = one(cache, normalise(given["frames"]), given["reset"])
        else:
            logits, cache = one(cache, normalise(given["frames"]), given["reset"])
        waiting.append((logits, tick.due))
        if len(waiting) == STEPS_AHEAD:
            note()
    note()
    rows = sorted(answers.keys() - streams.failed)
    if not rows:
        reasons = "; ".join(reason for _, reason in streams.failures[-1:])
        raise ValueError(f"no video can be decoded: {reasons or 'there is none'}")
    return Scores(
        np.stack([answers[row] for row in rows]),
        np.stack([streams.labels[row] for row in rows]),
        np.asarray(rows),
        tuple(streams.ids[row] for row in rows),
        tuple(streams.failures),
        task,
    )


def score(workdir: str | os.PathLike, options) -> tuple[dict, Split, Scores]:
    """Scores a split, logits `[N, shares, classes]`, and describes the run."""
    keep_programs()
    run = Run.open(workdir, options.checkpoint)
    split = run.split(
        options.split, data_dir=options.data_dir, map_classes=options.map_classes
    )
    devices = mesh.make_mesh()
    mesh.check_batch("batch-size", options.batch_size, devices)
    model = run.network()
    about = run.description.model
    # TSN's mean of frames is better of frames from all of what has been seen.
    streamed = model.causal and about["temporal"] != "tsn"
    streamed = streamed and model.resolution.frames is None
    causal = "causal " if about.get("causal") else ""
    described = {
        "workdir": str(workdir),
        "checkpoint": run.step,
        "network": f"{causal}{about['temporal'].upper()} {about['backbone']}",
        "sees": "streamed" if streamed else "clips",
    }
    to_stderr(
        f"evaluating {len(split.source):,} videos of {options.split}, "
        + ("frame by frame" if streamed else f"{len(SHARES)} clips of each")
    )
    if streamed:
        more, scores = _streamed(run, model, split, devices, options)
        return described | more, split, scores
    scores = evaluate.score(
        split,
        clip_step(model, run.normalise),
        ({}, {}),
        devices,
        view=ObservedView(**dataclasses.asdict(run.view)),
        protocol=Protocol(len(SHARES), crops=1),
        batch_size=options.batch_size,
        say=to_stderr,
        workers=run.description.config.data.workers,
        worker_kind=run.description.config.data.worker_kind,
    )
    return described, split, scores


def _streamed(
    run: Run, model: nnx.Module, split: Split, devices: Mesh, options
) -> tuple[dict, Scores]:
    """Scores a split by streams, and describes them."""
    videos = len(split.source)
    batch_size = mesh.fitting_batch(options.batch_size, videos, devices)
    streams = FrameStreams(
        split,
        run.view,
        Streaming(options.every, options.max_frames),
        streams=batch_size,
        threads=run.description.config.data.workers,
    )
    scores = score_streams(
        model,
        run.normalise,
        streams,
        batch_size=batch_size,
        devices=devices,
        task=split.task,
        progress=Progress("evaluated", videos, "videos", to_stderr),
    )
    if streams.thinned:
        to_stderr(
            f"{streams.thinned:,} videos have more than --max-frames="
            f"{options.max_frames:,} frames to show: theirs are further apart"
        )
    described = {"every": options.every, "max_frames": options.max_frames}
    return described | {"thinned": streams.thinned}, scores


def row(workdir: str | os.PathLike, options) -> dict:
    described, split, scores = score(workdir, options)
    each = [
        dataclasses.replace(scores, logits=scores.logits[:, i]).summary(
            split.reversed_labels
        )
        for i in range(len(SHARES))
    ]
    if not scores.labelled:
        raise ValueError(f"the clips of split {options.split} have no labels")
    name = split.task.best_by
    return described | {
        "clips": len(scores.labels),
        "failed": len(scores.failures),
        "figure": name,
        "accuracy": [figures[name] for figures in each],
    }


def lines(rows: list[dict]) -> list[str]:
    """Returns a Markdown table."""
    head = " | ".join(f"{share:.0%}" for share in SHARES)
    return [
        f"| frames seen | {head} |",
        "|---" * (1 + len(SHARES)) + "|",
        *(
            f"| {row['network']} | "
            + " | ".join(f"{100 * figure:.1f}" for figure in row["accuracy"])
            + " |"
            for row in rows
        ),
    ]


def main(options: argparse.Namespace) -> int:
    rows = [row(run, options) for run in options.run]
    out = pathlib.Path(
        options.out or pathlib.Path(options.run[0]) / "evaluation" / "early"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    device = jax.devices()[0].device_kind
    made = {"split": options.split, "shares": SHARES, "rows": rows}
    made |= {"device": device, "jax": jax.__version__}
    out.with_name(f"{out.name}.json").write_text(json.dumps(made, indent=1) + "\n")
    draw_early(out.with_name(f"{out.name}.png"), SHARES, rows)
    print("\n".join(lines(rows)), file=sys.stderr)
    print(json.dumps(made))
    return 0
