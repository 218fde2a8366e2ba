"""Where a run's weights come from: its own last checkpoint, or another run's."""

from vidshift.nets.weights import Arrays
from vidshift.training import checkpoints
from vidshift.training.checkpoints import CheckpointError


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
    pairs += [("classes", stored["classes"], wanted["classes"])]
    pairs += [
        (key, _field(stored["config"], key), _field(wanted["config"], key))
        for key in ("optim.ema", "optim.momentum")
    ]
    differing = [
        f"{name} is {there!r} there and {here!r} here"
        for name, there, here in pairs
        if there != here
    ]
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


def initial_weights(
    source: str, params: Arrays, stats: Arrays, classes: list[str]
) -> tuple[Arrays, Arrays, str]:
    """Weights of another run or converted checkpoint for a new network.

    The head stays new where the classes differ. Every other name must be on both
    sides with one shape.

    Returns:
      parameters, statistics, and a line that says what was loaded and what is new.

    Raises:
      CheckpointError: `source` is no checkpoint, or its network is another one.
    """
    checkpoint = checkpoints.find(source)
    description = checkpoints.read_description(checkpoint)
    found_params, found_stats = checkpoints.read_weights(checkpoint)
    found = found_params | found_stats
    ours = params | stats
    head = {name for name in ours if name.startswith("fc.")}
    new = head if description["classes"] != classes else set()
    problems = {
        "missing there": sorted(ours.keys() - found.keys() - new),
        "unknown here": sorted(found.keys() - ours.keys() - new),
        "of another shape": sorted(
            name
            for name in (ours.keys() & found.keys()) - new
            if ours[name].shape != found[name].shape
        ),
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{len(names)} {what} ({', '.join(names[:3])}...)"
            for what, names in problems.items()
            if names
        )
        raise CheckpointError(f"init={source} does not fit the network: {listed}")
    taken = {name: found[name] for name in ours.keys() - new}
    line = f"initialised {len(taken)} arrays from {checkpoint}"
    if new:
        line += f"; the classes differ, so the head ({', '.join(sorted(new))}) is new"
    merged = ours | taken
    return (
        {name: merged[name] for name in params},
        {name: merged[name] for name in stats},
        line,
    )
