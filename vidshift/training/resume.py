"""What a run that goes on from its own last checkpoint must have in common with it."""

from vidshift.class_names import difference
from vidshift.training.checkpoints import CheckpointError

# What descriptions say that were written before there were others.
BEFORE = {"multi_label": False, "tasks": {}, "modality": "rgb", "stack": 1}


def check_same_run(stored: dict, wanted: dict, workdir: str) -> None:
    """A run goes on only with the network, classes and average it was started with.

    Args:
      stored, wanted: descriptions (`vidshift.runs.describe`).

    Raises:
      CheckpointError: naming each field that differs.
    """
    pairs = [
        (f"model.{key}", stored["model"].get(key), wanted["model"].get(key))
        for key in sorted(stored["model"].keys() | wanted["model"].keys())
    ]
    theirs, ours = (BEFORE | said | said.get("input", {}) for said in (stored, wanted))
    pairs += [(name, theirs[name], ours[name]) for name in BEFORE]
    pairs += [
        (key, _field(stored["config"], key), _field(wanted["config"], key))
        for key in ("optim.ema", "optim.momentum")
    ]
    differing = [
        f"{name} is {there!r} there and {here!r} here"
        for name, there, here in pairs
        if there != here
    ]
    classes = difference(
        stored["classes"], wanted["classes"], us="the run", them="the data set"
    )
    differing += [f"classes differ: {classes}"] if classes else []
    if differing:
        raise CheckpointError(
            f"{workdir} holds a run of another model: {'; '.join(differing)}. Choose "
            "another --workdir"
        )


def changed_fields(stored: dict, wanted: dict, prefix: str = "") -> list[str]:
    """Lines `field: old -> new` for every field of two configs that differs."""
    lines = []
    for key in stored.keys() | wanted.keys():
        old, new = stored.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += changed_fields(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key}: {old!r} -> {new!r}")
    return sorted(lines)


def _field(config: dict, dotted: str):
    for name in dotted.split("."):
        config = config[name]
    return config
