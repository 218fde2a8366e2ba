"""Early recognition, scored: `vidshift early`."""

import argparse
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

from vidshift import stream
from vidshift.command_line.progress import to_stderr
from vidshift.data.sources.split import Split
from vidshift.devices import mesh
from vidshift.devices.compilation_cache import keep_programs
from vidshift.evaluation import evaluate
from vidshift.evaluation.early_views import SHARES, Noting, ObservedView, StreamedView
from vidshift.evaluation.evaluate import Scores
from vidshift.evaluation.protocols import Protocol
from vidshift.report.draw_early import draw_early
from vidshift.run import Run


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


def stream_step(
    model: nnx.Module, normalise: Callable, steps: Callable[[int], np.ndarray]
) -> Callable:
    """Builds the step of `clip_step` for streams.

    Args:
      steps: (row of the split) to how many frames have come at each share.
    """
    init, one = stream.make(model, average="all")
    normalise = jax.jit(normalise)

    def step(params, stats, batch):
        del params, stats
        video, index = batch["video"][:, 0], np.asarray(batch["index"])
        batch_size, frames = video.shape[:2]
        cache, each = init(batch_size, video.shape[2:4]), []
        for t in range(frames):
            # The clip is a stream of its own: it begins after the video's first frame.
            reset = np.full(batch_size, t == 1)
            logits, cache = one(cache, normalise(video[:, t]), reset)
            each.append(logits)
        at = jnp.asarray(np.stack([steps(row) for row in index.tolist()]))
        logits = jnp.take_along_axis(jnp.stack(each, 1), at[..., None], axis=1)
        return logits, batch["label"], batch["index"]

    return step


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
    view = dataclasses.asdict(run.view)
    source = Noting(split.source)
    # TSN's mean of frames is better of frames from all of what has been seen.
    streamed = model.causal and run.description.model["temporal"] != "tsn"
    streamed = streamed and model.resolution.frames is None
    if streamed:
        view = StreamedView(**view | {"num_frames": view["num_frames"] + 1})
        nothing = np.zeros(len(SHARES), np.int64)

        def steps(row: int) -> np.ndarray:
            return nothing if row < 0 else view.steps(*source.lengths[row])

        step, clips = stream_step(model, run.normalise, steps), 1
    else:
        view, clips = ObservedView(**view), len(SHARES)
        step = clip_step(model, run.normalise)
    to_stderr(
        f"evaluating {len(source):,} videos of {options.split}, "
        + ("frame by frame" if streamed else f"{clips} clips of each")
    )
    scores = evaluate.score(
        dataclasses.replace(split, source=source),
        step,
        ({}, {}),
        devices,
        view=view,
        protocol=Protocol(clips, crops=1),
        batch_size=options.batch_size,
        say=to_stderr,
        workers=run.description.config.data.workers,
        worker_kind="thread",  # it is this process that notes the lengths
    )
    about = run.description.model
    causal = "causal " if about.get("causal") else ""
    described = {
        "workdir": str(workdir),
        "checkpoint": run.step,
        "network": f"{causal}{about['temporal'].upper()} {about['backbone']}",
        "sees": "streamed" if streamed else "clips",
    }
    return described, split, scores


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
