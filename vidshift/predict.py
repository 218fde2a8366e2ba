"""Classifies video files: `vidshift predict`."""

import argparse
import json
import os

import jax

from vidshift.command_line.errors import interrupted_at_once
from vidshift.devices.compilation_cache import compiling, keep_programs
from vidshift.evaluation.protocols import chosen
from vidshift.layers.folded import folded
from vidshift.run import Run


def main(options: argparse.Namespace) -> None:
    classify(options.videos, options.run, options, as_json=options.json)


def classify(
    videos: list[str],
    folder: str | os.PathLike,
    options: argparse.Namespace,
    *,
    as_json: bool = False,
) -> None:
    """Prints the most probable classes of each video, over the average of its views.

    Args:
      videos: files.
      folder: a run's, or a checkpoint.
      options: `protocol`, `average`, `checkpoint`, `soft` and `top`.
      as_json: one object a video.

    Raises:
      ValueError: a protocol with mirror images, which a class may not survive.
      VideoError: a file that is no video.
    """
    protocol = chosen(options.protocol, options.average)
    if protocol.crops == 10:
        raise ValueError(
            f"--protocol={options.protocol} has mirror images: not for video files"
        )
    with interrupted_at_once():
        jax.devices()
    keep_programs()
    run = Run.open(folder, options.checkpoint)
    network = jax.jit(folded(run.network(soft=options.soft)))
    task = run.description.task
    for video in videos:
        views = run.read_clip(
            video, clips=protocol.clips, crops=protocol.crops, full=protocol.full
        )
        with compiling("the network"):  # where a video has other views than the last
            logits = jax.block_until_ready(network(views))
        mean = jax.device_get(task.average(logits[:, None], protocol.average))[0]
        guesses = task.top(mean, run.classes, options.top)
        if as_json:
            top = {guess.name: float(guess.probability) for guess in guesses}
            print(json.dumps({"video": video, "classes": top}), flush=True)
            continue
        if len(videos) > 1:
            print(video)
        for guess in guesses:
            print(f"{100 * guess.probability:6.2f} %  {guess.name}", flush=True)
