"""Checkpoints of a run: written in the background, the last N and the best kept.

A checkpoint has three items. `weights` is what is evaluated (the moving average where
one is kept); `description` is a JSON object that says which network it is and how
clips are prepared for it; `training` is the rest of the state. A converted checkpoint
has the first two, and everything that only evaluates reads no more. Every file's SHA-256
is written last, before the checkpoint gets its name, and compared on reading.
"""

import contextlib
import json
import logging
import pathlib
import shutil
from collections.abc import Mapping

import filelock
import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from orbax.checkpoint import checkpoint_managers as policies

from vidshift.checkpoints import checksums
from vidshift.nets.weights import Arrays
from vidshift.training.state import TrainState

logger = logging.getLogger("vidshift")

DIRECTORY = "checkpoints"

# Folder of a run for checkpoints that are not what was saved.
DAMAGED = "damaged"


class CheckpointError(ValueError):
    """A checkpoint that is not there or does not fit, in one line."""


@contextlib.contextmanager
def _quiet():
    """Orbax warns about what reading a checkpoint means to do: read only, no metadata."""
    level = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        yield
    finally:
        absl_logging.set_verbosity(level)


@contextlib.contextmanager
def lock(workdir: str | pathlib.Path):
    """Keeps a run's directory to one run at a time; ends with the process, however.

    Raises:
      CheckpointError: another process holds it.
    """
    path = pathlib.Path(workdir)
    path.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(path / ".lock", blocking=False):
            yield
    except filelock.Timeout:
        raise CheckpointError(f"another process trains in {path} already") from None


@contextlib.contextmanager
def _readable(checkpoint: pathlib.Path, item: str):
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


def _score(metrics: dict[str, float]) -> float:
    """The one figure that a checkpoint was given, such as `{"top1": 0.5}`."""
    (value,) = metrics.values()
    return value


def _stored_score(checkpoint: pathlib.Path) -> float | None:
    """The score in a checkpoint's files; None without one, or if it is damaged."""
    file = checkpoint / "metrics" / "metrics"
    try:
        reason = checksums.damage(checkpoint, "metrics")
        score = None
        if not reason and file.exists():
            score = _score(json.loads(file.read_text()))
    except FileNotFoundError:
        return None  # a run that goes on is removing the checkpoint
    if reason:
        logger.warning("%s counts as not validated: %s", checkpoint, reason)
    return score


def _write_sums(root: pathlib.Path) -> None:
    """Writes the sums of the one checkpoint that is complete but has no name yet."""
    if jax.process_index() == 0:
        (unnamed,) = root.glob("*.orbax-checkpoint-tmp*")
        checksums.write(unnamed)


def _mend_score(
    checkpoint: pathlib.Path, step: int, score: dict[str, float] | None
) -> str:
    """Writes a damaged score anew, or removes it where it is not known."""
    checksums.remove(checkpoint, "metrics")
    if score is None:
        return f"{checkpoint} lost its score, which is damaged"
    (checkpoint / "metrics").mkdir()
    (checkpoint / "metrics" / "metrics").write_text(json.dumps(score))
    checksums.write(checkpoint)
    return f"{checkpoint} has a damaged score, which is written anew: {score}"


def set_damaged_aside(
    workdir: str | pathlib.Path, scores: Mapping[int, dict[str, float]]
) -> list[str]:
    """Moves damaged checkpoints out of a run's way, to its folder `damaged`.

    A checkpoint with a damaged score alone keeps its place.

    Args:
      workdir: of the run.
      scores: those of its log, by step.

    Returns:
      A line for each that was moved or whose score is another, the newest first.

    Raises:
      CheckpointError: no checkpoint is whole; all are left where they are.
    """
    workdir = pathlib.Path(workdir)
    lines, moves = [], []
    steps = sorted(_complete(workdir / DIRECTORY), reverse=True)
    for step in steps:
        checkpoint = workdir / DIRECTORY / str(step)
        reason = checksums.damage(checkpoint, but="metrics")
        if not reason and checksums.damage(checkpoint, "metrics"):
            lines.append(_mend_score(checkpoint, step, scores.get(step)))
        if reason:
            moves.append(checkpoint)
            lines.append(f"{checkpoint} is damaged and set aside: {reason}")
    if steps and len(moves) == len(steps):
        raise CheckpointError(
            f"no checkpoint of {workdir} is whole: {'; '.join(lines)}. Choose another "
            f"--workdir, or remove {workdir / DIRECTORY} to train from the start"
        )
    for checkpoint in moves:
        (workdir / DAMAGED).mkdir(exist_ok=True)
        copies = len(list((workdir / DAMAGED).glob(f"{checkpoint.name}*")))
        name = f"{checkpoint.name}.{copies}" if copies else checkpoint.name
        checkpoint.rename(workdir / DAMAGED / name)
    return lines


def _remove_unfinished(root: pathlib.Path) -> None:
    """Removes saves that a kill interrupted.

    Orbax would do it in a thread, which complains if the program ends early.
    """
    for unfinished in root.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(unfinished)


def _complete(root: pathlib.Path) -> list[int]:
    """Steps of the checkpoints below a folder whose save was completed."""
    return [int(p.name) for p in root.glob("*") if p.name.isdigit() and p.is_dir()]


def _check_space(folder: pathlib.Path, arrays) -> None:
    """Refuses a save that does not fit, before Orbax's threads find out one by one.

    Orbax writes arrays to a file of each process first and then to one of all.
    """
    needed = 2 * sum(array.nbytes for array in jax.tree.leaves(arrays)) + 2**18
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CheckpointError(
            f"cannot save a checkpoint: {folder} has {free / 1e6:.1f} MB free and it takes "
            f"up to {needed / 1e6:.1f} MB; free some space and start again"
        )


class Checkpoints:
    """The checkpoints below one directory."""

    def __init__(self, workdir: str | pathlib.Path, *, keep_last: int = 2):
        self.directory = pathlib.Path(workdir).absolute() / DIRECTORY
        if jax.process_index() == 0:
            _remove_unfinished(self.directory)
        keep = policies.AnyPreservationPolicy(
            [
                policies.LatestN(keep_last),
                policies.BestN(
                    get_metric_fn=_score,
                    n=1,
                    keep_checkpoints_without_metrics=False,
                ),
            ]
        )
        self._manager = ocp.CheckpointManager(
            self.directory,
            item_names=("weights", "training", "description"),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=keep,
                best_fn=_score,
                enable_async_checkpointing=True,
                async_options=ocp.AsyncOptions(
                    post_finalization_callback=lambda: _write_sums(self.directory)
                ),
            ),
        )

    def steps(self) -> list[int]:
        return sorted(self._manager.all_steps())

    def latest(self) -> int | None:
        return self._manager.latest_step()

    def save(
        self,
        step: int,
        state: TrainState,
        description: dict,
        *,
        score: dict[str, float] | None = None,
    ) -> None:
        """Starts saving; what is there stays until the new one is complete.

        `score` is one validation figure by its name: the best has the highest.
        """
        params, stats = state.evaluated()
        raw = {"params": state.params, "stats": state.stats} if state.ema else {}
        training = {"step": state.step, "opt": state.opt, "raw": raw}
        _check_space(self.directory, (params, stats, training))
        self._manager.save(
            step,
            args=ocp.args.Composite(
                weights=ocp.args.StandardSave({"params": params, "stats": stats}),
                training=ocp.args.StandardSave(training),
                description=ocp.args.JsonSave(description),
            ),
            metrics=score,
            force=True,
        )

    def add_score(self, step: int, score: dict[str, float]) -> None:
        """Gives a complete checkpoint the score of a validation that came after it.

        So it is with a run that was asked to stop right before a validation.
        """
        with _quiet(), ocp.Checkpointer(ocp.JsonCheckpointHandler("metrics")) as writer:
            writer.save(self.directory / str(step) / "metrics", score, force=True)
        if jax.process_index() == 0:
            checksums.write(self.directory / str(step))
        self._manager.reload()

    def restore(self, step: int, like: TrainState) -> TrainState:
        """A state with `like`'s names, shapes, types and shardings."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        weights = {"params": abstract.params, "stats": abstract.stats}
        training = {
            "step": abstract.step,
            "opt": abstract.opt,
            "raw": weights if like.ema else {},
        }
        checkpoint = self.directory / str(step)
        with _readable(checkpoint, "weights"), _readable(checkpoint, "training"):
            found = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    weights=ocp.args.StandardRestore(weights),
                    training=ocp.args.StandardRestore(training),
                ),
            )
        weights, training = found["weights"], found["training"]
        raw = training["raw"] if like.ema else weights
        return TrainState(
            step=training["step"],
            params=raw["params"],
            stats=raw["stats"],
            opt=training["opt"],
            ema=weights["params"] | weights["stats"] if like.ema else {},
        )

    def wait(self) -> None:
        """Returns when everything given to `save` is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        self._manager.close()


def find(path: str | pathlib.Path, which: str = "best") -> pathlib.Path:
    """The checkpoint's own folder, from a run's directory or that folder itself.

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
    steps = _complete(root)
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
        _quiet(),
        _readable(checkpoint, "description"),
        ocp.Checkpointer(handler) as checkpointer,
    ):
        return checkpointer.restore(checkpoint / "description")


def read_weights(checkpoint: pathlib.Path) -> tuple[Arrays, Arrays]:
    """The (parameters, statistics) of a checkpoint as NumPy arrays by name."""
    with (
        _quiet(),
        _readable(checkpoint, "weights"),
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
    _remove_unfinished(root)
    options = ocp.CheckpointManagerOptions(
        enable_async_checkpointing=True,
        async_options=ocp.AsyncOptions(
            post_finalization_callback=lambda: _write_sums(root)
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
