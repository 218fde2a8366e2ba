"""A run that goes on from its own last checkpoint."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable

import jax

from vidshift import checkpoints
from vidshift.checkpoints import CheckpointError, saving
from vidshift.class_names import difference
from vidshift.config import Config
from vidshift.description import Description
from vidshift.devices import mesh
from vidshift.training.log import validations
from vidshift.training.state import TrainState


def open_checkpoints(
    config: Config,
    workdir: str,
    best_by: str,
    cleanup: contextlib.ExitStack,
    say: Callable[[str], None],
) -> saving.Checkpoints:
    """Locks a run's folder, sets damaged checkpoints aside and opens the others.

    Args:
      best_by: the figure of a validation that is a checkpoint's score.
      cleanup: closes the checkpoints and releases the lock.

    Raises:
      CheckpointError: another process trains there, or no checkpoint is whole.
    """
    if jax.process_index() == 0:
        cleanup.enter_context(saving.lock(workdir))
        scores = {
            step: {best_by: line[best_by]}
            for step, line in validations(workdir).items()
            if best_by in line
        }
        for line in saving.set_damaged_aside(workdir, scores):
            say(line)
    mesh.any_process(False)  # all wait until damaged checkpoints are out of the way
    saved = saving.Checkpoints(workdir, keep_last=config.checkpoint.keep_last)
    cleanup.callback(saved.close)
    return saved


def go_on(
    saved: saving.Checkpoints,
    like: TrainState,
    description: Description,
    workdir: str,
    say: Callable[[str], None],
) -> TrainState:
    """Returns the state of a run's last checkpoint, or `like` where it has none.

    Args:
      like: the state of step 0.
      description: of the run that was asked for.

    Raises:
      CheckpointError: the folder holds a run of another network or data.
    """
    step = saved.latest()
    if not step:
        return like
    stored = Description.read(checkpoints.find(workdir, "last"))
    check_same_run(stored, description, workdir)
    state = saved.restore(step, like=like)
    say(f"going on from step {step} of {workdir}")
    before, now = (
        dataclasses.asdict(stored.config),
        dataclasses.asdict(description.config),
    )
    for line in changed_fields(before, now):
        say(f"  changed since: {line}")
    return state


def check_same_run(
    stored: Description, wanted: Description, workdir: str | pathlib.Path
) -> None:
    """Refuses another network, other classes or another average than the run began with.

    Raises:
      CheckpointError: naming each field that differs.
    """
    before, now = _fixed(stored), _fixed(wanted)
    differing = [
        f"{name} is {before.get(name)!r} there and {now.get(name)!r} here"
        for name in sorted(before | now, key=lambda n: (not n.startswith("model."), n))
        if before.get(name) != now.get(name)
    ]
    classes = difference(
        stored.classes, wanted.classes, us="the run", them="the data set"
    )
    differing += [f"classes differ: {classes}"] if classes else []
    if differing:
        raise CheckpointError(
            f"{workdir} holds a run of another model: {'; '.join(differing)}. Choose "
            "another --workdir"
        )


def _fixed(description: Description) -> dict:
    """Returns what stays the same from a run's first step to its last, by name."""
    fields = description.to_json()
    return {
        **{f"model.{name}": value for name, value in fields["model"].items()},
        **description.task.to_json(),
        "modality": description.input.modality,
        "stack": description.input.stack,
        "optim.ema": description.config.optim.ema,
        "optim.momentum": description.config.optim.momentum,
    }


def changed_fields(stored: dict, wanted: dict, prefix: str = "") -> list[str]:
    """Returns lines `field: old -> new` for the fields of two configs that differ."""
    lines = []
    for key in stored.keys() | wanted.keys():
        old, new = stored.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += changed_fields(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key}: {old!r} -> {new!r}")
    return sorted(lines)
