"""A new network's first weights: another run's or a converted checkpoint's, inflated.

A network's names are the same under every scheme, so an image network's checkpoint fits
the video networks of its backbone: what only a scheme has starts afresh, and arrays that
cover more in the new network (frames, channels of a clip) are made from the smaller ones.
"""

import collections
import re

import numpy as np
from flax import nnx

from vidshift.checkpoints import CheckpointError
from vidshift.class_names import difference
from vidshift.description import Description, Input
from vidshift.nets import BACKBONES, create
from vidshift.nets.weights import Arrays, first_kernels, named_arrays
from vidshift.nets.zoo import without_scheme
from vidshift.run import Run
from vidshift.shifts import AFTER, BEFORE, SCHEMES
from vidshift.shifts.rubiks import ShiftParam
from vidshift.training.inflation import find_inflation
from vidshift.training.shift_rows import find_row_move


def initial_weights(
    source: str, params: Arrays, stats: Arrays, description: Description
) -> tuple[Arrays, Arrays, str]:
    """Makes a new network's weights from those of a run or converted checkpoint.

    The head stays new where the classes differ. Where the source is an image network
    (TSN, or RubiksNet's spatial variant), so does what the new network has beyond the
    image network of its backbone. A RubiksNet's shifts and its attention follow
    `vidshift.training.shift_rows`. Every other name must be on both sides, with the same
    shape or one that `vidshift.training.inflation` makes the other of. SlowFast starts
    from SlowFasts alone: its two pathways are of no image network's widths.

    Args:
      source: a run's folder, or a checkpoint's.
      params, stats: of the new network, as drawn.
      description: of the new network.

    Returns:
      parameters, statistics, and lines that say what was loaded, inflated and is new.

    Raises:
      CheckpointError: `source` is no checkpoint, or its network is another one.
    """
    run = Run.open(source)
    model, theirs = dict(description.model), dict(run.description.model)
    _check_network(source, theirs, model)
    found_params, found_stats = run.weights()
    found, ours = found_params | found_stats, params | stats
    head = {name for name in found | ours if name.startswith("fc.")}
    differs = difference(run.classes, description.classes, us="it", them="the data set")
    # TRN has another head than the network that it starts from.
    head = head if differs or not head <= ours.keys() else set()
    of_images = is_image_network(theirs)
    shifts = find_row_move(source, theirs, model, of_images=of_images)

    new = ours.keys() - found.keys() - head
    if new and of_images:
        image = named_arrays(_abstract(as_image_network(model)))
        problems = {"missing there": new & image.keys()}
    else:
        problems = {"missing there": {n for n in new if not shifts.starts(n)}}
    unknown = found.keys() - ours.keys() - head
    dropped = {n for n in unknown if shifts.drops(n)}
    problems["unknown here"] = unknown - dropped
    both = (ours.keys() & found.keys()) - head
    taken = {n: found[n] for n in both if found[n].shape == ours[n].shape}
    inflated, misshapen = collections.defaultdict(list), set()
    first = []
    if both - taken.keys():
        first = first_kernels(lambda n: _abstract(model | {"in_channels": n}))
    for name in both - taken.keys():
        there, here = found[name], np.asarray(ours[name])
        if shifts.moves(name):
            taken[name] = shifts.make(there, here).astype(here.dtype)
            inflated[shifts.said].append(name)
            continue
        rule = find_inflation(there, here, first=name in first, of_images=of_images)
        if rule is None:
            misshapen.add(name)
        else:
            taken[name] = rule.make(there, here).astype(here.dtype)
            inflated[rule.how].append(name)
    problems["of another shape"] = misshapen
    problems["beyond the network's max_shift"] = _too_far(taken, model)
    if any(problems.values()):
        listed = "; ".join(
            f"{len(names)} {what} ({shorten(names)})"
            for what, names in problems.items()
            if names
        )
        raise CheckpointError(f"init={source} does not fit the network: {listed}")

    lines = [f"initialised {len(taken)} arrays from {run.checkpoint}"]
    lines += [f"  {how}: {shorten(names)}" for how, names in inflated.items()]
    if new:
        lines.append(f"  new: {shorten(new)}")
    if dropped:
        lines.append(f"  {shifts.said}: {shorten(dropped)}")
    if any(shifts.starts(n) for n in new):
        lines.append(f"  {shifts.attention}")
    if head & ours.keys():
        lines.append(f"  new, since the classes differ: {shorten(head)} ({differs})")
    elif head:
        lines.append(f"  left out, since the new head is another: {shorten(head)}")
    if not of_images and bool(theirs.get("causal")) != bool(model.get("causal")):
        reads = "reads no later frame" if theirs.get("causal") else "reads later frames"
        lines.append(f"  its network {reads}, unlike this one: the names alone fit")
    lines += _other_pixels(run.description.input, description.input)
    merged = ours | taken
    return (
        {name: merged[name] for name in params},
        {name: merged[name] for name in stats},
        "\n".join(lines),
    )


def is_image_network(model: dict) -> bool:
    """Says whether a network (arguments of `create`) sees frames one by one."""
    return (
        not BACKBONES[model["backbone"]].mixes_time(model)
        and model["temporal"] == "tsn"
        and not any(model.get(name) for name in (*BEFORE, *AFTER))
    )


def as_image_network(model: dict) -> dict:
    """Returns the network's arguments without those that mix time."""
    image_options = BACKBONES[model["backbone"]].image_options
    return without_scheme(model) | dict(image_options or {})


def shorten(names) -> str:
    """Lists names with `*` for numbers and how often; the first eight of them."""
    kinds = collections.Counter(
        re.sub(r"(?<=\.)\d+(?=\.)", "*", name) for name in sorted(names)
    )
    listed = [f"{n} x {kind}" if n > 1 else kind for kind, n in kinds.items()]
    return ", ".join(listed[:8]) + ", ..." * (len(listed) > 8)


def _check_network(source: str, theirs: dict, ours: dict) -> None:
    backbone = ours["backbone"]
    if theirs["backbone"] not in (backbone, *BACKBONES[backbone].starts_from):
        raise CheckpointError(
            f"init={source} is a {theirs['backbone']}, the network is a {backbone}"
        )
    frames = theirs["num_frames"], ours["num_frames"]
    if SCHEMES[theirs["temporal"]].of_frames and frames[0] != frames[1]:
        raise CheckpointError(
            f"init={source} is under VSN, whose shuffle depends on the frames: its "
            f"weights belong to {frames[0]} frames, the network has {frames[1]}"
        )


def _too_far(arrays: Arrays, model: dict) -> set[str]:
    """Returns names of learned shifts beyond the network's bound."""
    network = _abstract(model)
    return {
        name
        for name in named_arrays(network, ShiftParam)
        if name in arrays and not np.abs(arrays[name]).max() <= network.max_shift
    }


def _abstract(model: dict) -> nnx.Module:
    return nnx.eval_shape(lambda: create(**model))


def _other_pixels(stored: Input, wanted: Input) -> list[str]:
    """Returns lines that say how the weights were trained on other pixels."""
    lines = [
        f"  its pixels were normalised by another data.{name}: "
        f"{list(getattr(stored, name))}, here {list(getattr(wanted, name))}"
        for name in ("mean", "std")
        if getattr(stored, name) != getattr(wanted, name)
    ]
    if stored.pixel_aspect != wanted.pixel_aspect:
        lines.append(
            f"  it was trained with data.pixel_aspect={stored.pixel_aspect}, here "
            f"{wanted.pixel_aspect}"
        )
    return lines
