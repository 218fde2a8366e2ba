"""Files of a checkpoint: which one is meant, reading it, and writing one without a run.

A checkpoint has three items. `weights` is what is evaluated (the moving average where
one is kept). `description` is a JSON object that says which network it is and how clips
are prepared for it. `training` is the rest of the state; a converted checkpoint has none,
and only a run that goes on reads it. Every file's SHA-256 is written last, before the
checkpoint gets its name, and compared on reading.
"""

import contextlib
import json
import logging
import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging

from vidshift.checkpoints import checksums
from vidshift.nets.weights import Arrays

logger = logging.getLogger("vidshift")

DIRECTORY = "checkpoints"


class CheckpointError(ValueError):
    """A checkpoint that is not there or does not fit, in one line."""


def find(path: str | pathlib.Path, which: str = "best") -> pathlib.Path:
    """Finds a checkpoint's folder, from a run's directory or the folder itself.

    Args:
      path: a run's directory, or one checkpoint (`RUN/checkpoints/STEP`); `~` is the
        home folder.
      which: "best" by the validation's score (the last where none was validated), or
        "last".

    Raises:
      CheckpointError: nothing complete is there.
    """
    path = pathlib.Path(path).expanduser().absolute()
    if (path / "weights").is_dir() and (path / "description").is_dir():
        return path
    if which not in ("best", "last"):
        raise CheckpointError(f"checkpoint must be 'best' or 'last', got {which!r}")
    root = path / DIRECTORY
    if not root.is_dir():
        raise CheckpointError(f"{path} is no run or checkpoint: it has no {DIRECTORY}/")
    steps = complete_steps(root)
    if not steps:
        raise CheckpointError(f"{root} holds no complete checkpoint")
    step = max(steps)
    if which == "best":
        scores = {s: _stored_score(root / str(s)) for s in steps}
        scored = [(score, s) for s, score in scores.items() if score is not None]
        step = max(scored)[1] if scored else step
    return root / str(step)


def read_description(checkpoint: pathlib.Path) -> dict:
    handler = ocp.JsonCheckpointHandler()
    with (
        quiet(),
        readable(checkpoint, "description"),
        ocp.Checkpointer(handler) as checkpointer,
    ):
        return checkpointer.restore(checkpoint / "description")


def read_weights(checkpoint: pathlib.Path) -> tuple[Arrays, Arrays]:
    """Reads a checkpoint's (parameters, statistics) as NumPy arrays by name."""
    with (
        quiet(),
        readable(checkpoint, "weights"),
        ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer,
    ):
        tree = checkpointer.metadata(checkpoint / "weights").item_metadata.tree
        as_numpy = jax.tree.map(
            lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree
        )
        found = checkpointer.restore(checkpoint / "weights", restore_args=as_numpy)
    return found["params"], found["stats"]


def write_weights(
    directory: str | pathlib.Path, params: Arrays, stats: Arrays, description: dict
) -> None:
    """Writes a checkpoint that only evaluation and `init` can use, at step 0.

    Raises:
      CheckpointError: the directory has checkpoints already.
    """
    root = pathlib.Path(directory).expanduser().absolute() / DIRECTORY
    remove_unfinished(root)
    options = ocp.CheckpointManagerOptions(
        enable_async_checkpointing=True,
        async_options=ocp.AsyncOptions(
            post_finalization_callback=lambda: write_sums(root)
        ),
    )
    with ocp.CheckpointManager(root, options=options) as manager:
        if manager.latest_step() is not None:
            # Orbax leaves out a step that is not newer, without a word.
            raise CheckpointError(f"{root} already holds checkpoints")
        manager.save(
            0,
            args=ocp.args.Composite(
                weights=ocp.args.StandardSave({"params": params, "stats": stats}),
                description=ocp.args.JsonSave(description),
            ),
        )


def complete_steps(root: pathlib.Path) -> list[int]:
    """Steps of the checkpoints below a folder whose save was completed."""
    return [int(p.name) for p in root.glob("*") if p.name.isdigit() and p.is_dir()]


def _stored_score(checkpoint: pathlib.Path) -> float | None:
    """Reads a checkpoint's score; None without one, or if it is damaged."""
    file = checkpoint / "metrics" / "metrics"
    try:
        reason = checksums.damage(checkpoint, "metrics")
        score = None
        if not reason and file.exists():
            score = only_value(json.loads(file.read_text()))
    except FileNotFoundError:
        return None  # a run that goes on is removing the checkpoint
    if reason:
        logger.warning("%s counts as not validated: %s", checkpoint, reason)
    return score


def only_value(metrics: dict[str, float]) -> float:
    """Returns the one figure that a checkpoint was given, such as `{"top1": 0.5}`."""
    (value,) = metrics.values()
    return value


@contextlib.contextmanager
def readable(checkpoint: pathlib.Path, item: str):
    """Compares an item with its sums first; one that Orbax cannot read is damaged too."""
    reason = checksums.damage(checkpoint, item)
    if reason:
        raise CheckpointError(f"{checkpoint} is damaged: {reason}")
    try:
        yield
    except Exception as error:
        raise CheckpointError(
            f"{checkpoint}/{item} is not of this format ({type(error).__name__}: {error})"
        ) from error


@contextlib.contextmanager
def quiet():
    """Silences Orbax's warnings that a checkpoint is only read, without metadata."""
    level = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        yield
    finally:
        absl_logging.set_verbosity(level)


def write_sums(root: pathlib.Path) -> None:
    """Writes the sums of the one checkpoint that is complete but has no name yet."""
    if jax.process_index() == 0:
        (unnamed,) = root.glob("*.orbax-checkpoint-tmp*")
        checksums.write(unnamed)


def remove_unfinished(root: pathlib.Path) -> None:
    """Removes saves that a kill interrupted.

    Orbax would do it in a thread, which complains if the program ends early.
    """
    for unfinished in root.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(unfinished)
