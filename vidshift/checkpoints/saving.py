"""Checkpoints of a run that trains: written in the background, the last N and the best kept."""

import contextlib
import json
import logging
import pathlib
import shutil
from collections.abc import Mapping

import filelock
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from vidshift.checkpoints import checksums
from vidshift.checkpoints.files import (
    DIRECTORY,
    CheckpointError,
    complete_steps,
    only_value,
    quiet,
    readable,
    remove_unfinished,
    write_sums,
)

logger = logging.getLogger("vidshift")


# Folder of a run for checkpoints that are not what was saved.
DAMAGED = "damaged"


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


def _mend_score(checkpoint: pathlib.Path, score: dict[str, float] | None) -> str:
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
    steps = sorted(complete_steps(workdir / DIRECTORY), reverse=True)
    for step in steps:
        checkpoint = workdir / DIRECTORY / str(step)
        reason = checksums.damage(checkpoint, but="metrics")
        if not reason and checksums.damage(checkpoint, "metrics"):
            lines.append(_mend_score(checkpoint, scores.get(step)))
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
            remove_unfinished(self.directory)
        keep = policies.AnyPreservationPolicy(
            [
                policies.LatestN(keep_last),
                policies.BestN(
                    get_metric_fn=only_value,
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
                best_fn=only_value,
                enable_async_checkpointing=True,
                async_options=ocp.AsyncOptions(
                    post_finalization_callback=lambda: write_sums(self.directory)
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
        state,
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
        with quiet(), ocp.Checkpointer(ocp.JsonCheckpointHandler("metrics")) as writer:
            writer.save(self.directory / str(step) / "metrics", score, force=True)
        if jax.process_index() == 0:
            checksums.write(self.directory / str(step))
        self._manager.reload()

    def restore(self, step: int, like):
        """Returns a TrainState with `like`'s names, shapes, types and shardings."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        weights = {"params": abstract.params, "stats": abstract.stats}
        training = {
            "step": abstract.step,
            "opt": abstract.opt,
            "raw": weights if like.ema else {},
        }
        checkpoint = self.directory / str(step)
        with readable(checkpoint, "weights"), readable(checkpoint, "training"):
            found = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    weights=ocp.args.StandardRestore(weights),
                    training=ocp.args.StandardRestore(training),
                ),
            )
        weights, training = found["weights"], found["training"]
        raw = training["raw"] if like.ema else weights
        return like._replace(
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
