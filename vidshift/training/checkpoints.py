"""Checkpoints of a run: written in the background, the last N and the best kept.

A checkpoint has three items. `weights` is what is evaluated (the moving average where
one is kept); `description` is a JSON object that says which network it is and how
clips are prepared for it; `training` is the rest of the state. A converted checkpoint
has the first two, and everything that only evaluates reads no more.
"""

import contextlib
import pathlib
import shutil

import filelock
import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers as policies

from vidshift.nets.weights import Arrays
from vidshift.training.state import TrainState

DIRECTORY = "checkpoints"


class CheckpointError(ValueError):
    """A checkpoint that is not there or does not fit, in one line."""


@contextlib.contextmanager
def _quiet():
    """Orbax warns about what reading a checkpoint means to do: read only, no metadata."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)


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
def _readable(path: pathlib.Path):
    """What Orbax says of damaged files, and how, depends on where the damage is."""
    try:
        yield
    except Exception as error:
        raise CheckpointError(
            f"{path} is damaged or not of this format ({type(error).__name__}: {error})"
        ) from error


def _score(metrics: dict[str, float]) -> float:
    """The one figure that a checkpoint was given, such as `{"top1": 0.5}`."""
    (value,) = metrics.values()
    return value


class Checkpoints:
    """The checkpoints below one directory."""

    def __init__(self, workdir: str | pathlib.Path, *, keep_last: int = 2):
        self.directory = pathlib.Path(workdir).absolute() / DIRECTORY
        if jax.process_index() == 0:
            # Of saves that a kill interrupted. Orbax would do it in a thread, which
            # complains if the program ends early.
            for rest in self.directory.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(rest)
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
        with _readable(self.directory / str(step)):
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
      path: a run's directory, or one checkpoint (`RUN/checkpoints/STEP`).
      which: "best" by the validation's score (the last where none was validated), or
        "last".

    Raises:
      CheckpointError: nothing complete is there.
    """
    path = pathlib.Path(path).absolute()
    if (path / "weights").is_dir() and (path / "description").is_dir():
        return path
    if which not in ("best", "last"):
        raise CheckpointError(f"checkpoint must be 'best' or 'last', got {which!r}")
    root = path / DIRECTORY
    if not root.is_dir():
        raise CheckpointError(f"{path} is no run or checkpoint: it has no {DIRECTORY}/")
    with (
        _quiet(),
        ocp.CheckpointManager(
            root,
            options=ocp.CheckpointManagerOptions(best_fn=_score, read_only=True),
        ) as manager,
    ):
        step = manager.best_step() if which == "best" else None
        step = manager.latest_step() if step is None else step
    if step is None:
        raise CheckpointError(f"{root} holds no complete checkpoint")
    return root / str(step)


def read_description(checkpoint: pathlib.Path) -> dict:
    handler = ocp.JsonCheckpointHandler()
    with _quiet(), _readable(checkpoint), ocp.Checkpointer(handler) as checkpointer:
        return checkpointer.restore(checkpoint / "description")


def read_weights(checkpoint: pathlib.Path) -> tuple[Arrays, Arrays]:
    """The (parameters, statistics) of a checkpoint as NumPy arrays by name."""
    with (
        _quiet(),
        _readable(checkpoint),
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
    root = pathlib.Path(directory).absolute() / DIRECTORY
    with ocp.CheckpointManager(root) as manager:
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
