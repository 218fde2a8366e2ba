"""Cost of the networks that are compared: parameters, multiplications, latency here."""

from collections.abc import Mapping
from typing import NamedTuple

import jax

from vidshift.command_line.progress import working
from vidshift.cost.count import cost
from vidshift.devices.compilation_cache import keep_programs
from vidshift.evaluation.protocols import Protocol
from vidshift.kernels.analysis import timing
from vidshift.layers.folded import folded
from vidshift.nets.names import Network
from vidshift.nets.weights import split
from vidshift.nets.zoo import ARGUMENTS
from vidshift.run import Run

SECONDS = 1.0  # of timing a network, about


class ViewCost(NamedTuple):
    """Parameters of a network, and multiplications of one view."""

    parameters: int
    macs: int


def side_of(run: Run, protocol: Protocol) -> int:
    """Returns the side of a view's crop, pixels; of a whole frame its short side."""
    return protocol.view(run.view).crop


def of_view(run: Run, protocol: Protocol) -> ViewCost:
    """Counts one view. A whole frame is counted as a square of its short side."""
    model = dict(run.description.model)
    options = {
        name: value
        for name, value in model.items()
        if name not in ARGUMENTS and value is not None
    }
    counted = cost(
        Network(model["backbone"], model["temporal"], options),
        classes=model["num_classes"],
        frames=model["num_frames"],
        side=side_of(run, protocol),
        in_channels=model.get("in_channels", 3),
    )
    return ViewCost(counted.parameters, counted.macs)


def latencies(runs: Mapping[str, Run], protocol: Protocol) -> dict[str, float]:
    """Measures milliseconds of one view on this device, by name.

    The networks take turns, and each call is waited for, as `vidshift speed` times
    latency. Weights are the runs', pixels random and normalised already.
    """
    keep_programs()
    programs = {}
    for name, run in runs.items():
        with working(f"compiling {name}"):
            programs[name] = _program(run, side_of(run, protocol))
            for _ in range(2):  # what happens only once has happened then
                programs[name]()
    with working(f"timing {', '.join(programs)}"):
        times = timing.side_by_side(programs, calls=1, seconds=SECONDS)
    return {name: 1000 * found.median for name, found in times.items()}


def _program(run: Run, side: int):
    model = run.description.model
    shape = (1, model["num_frames"], side, side, model.get("in_channels", 3))
    clip = jax.random.normal(jax.random.key(0), shape, model["dtype"])
    skeleton, params, stats = split(folded(run.network()))
    params, stats = jax.device_put((params, stats))
    # The weights are arguments: constants would be folded into the program.
    run_once = jax.jit(lambda params, stats, x: skeleton.merge(params, stats)(x))
    return lambda: jax.block_until_ready(run_once(params, stats, clip))
