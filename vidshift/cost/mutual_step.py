"""Expected cost of A3D's training step, from its config (A3D, 4.1 and Table 2)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vidshift.adaptive.sampling import SubNetworkSampling
from vidshift.adaptive.subnetwork import SubNetwork
from vidshift.config import Config
from vidshift.cost.count import Cost, cost
from vidshift.nets.names import Network
from vidshift.nets.zoo import ARGUMENTS
from vidshift.training.mutual import full_network, make_sampling


class StepCost(NamedTuple):
    """GFLOPs of a clip (multiplications, forward), the means over what is drawn.

    `equation_2` is the step's cost in full networks as the paper estimates it, from the
    fractions of width, side and frames alone. Widths between two of the grid cost what
    the wider program does, here and on the device; there they cost their own.
    """

    full: float
    narrowest: float
    random: float  # of one
    random_networks: int
    equation_2: float

    @property
    def step(self) -> float:
        return self.full + self.narrowest + self.random_networks * self.random

    @property
    def ratio(self) -> float:
        """The step's cost in full networks."""
        return self.step / self.full


def count_model(model: Mapping[str, Any], crop: int) -> Cost:
    """Counts a network by its arguments of `vidshift.create`, on clips of `crop` pixels."""
    options = {
        name: value
        for name, value in model.items()
        if name not in ARGUMENTS and value is not None
    }
    return cost(
        Network(model["backbone"], model["temporal"], options),
        classes=model["num_classes"],
        frames=model["num_frames"],
        side=crop,
        in_channels=model.get("in_channels", 3),
    )


def step_cost(config: Config, model: Mapping[str, Any]) -> StepCost:
    """Counts the programs of a mutual step, and weighs them by how often they are drawn.

    Args:
      config: with `adaptive.mode="mutual"`.
      model: arguments of `vidshift.create`.

    Raises:
      ValueError: the config trains no sub-networks.
    """
    if config.adaptive.mode != "mutual":
        raise ValueError(
            "config.adaptive.mode must be mutual, which trains sub-networks, got "
            f"{config.adaptive.mode}"
        )
    sampling = make_sampling(config, dict(model))
    crop, frequencies = config.data.crop, shares(sampling)

    def gflops(one: SubNetwork) -> float:
        return count_model(one.of(dict(model)), crop).macs / 1e9

    each = {one: gflops(one) for one in sampling.all()}
    full = full_network(dict(model), crop)
    random_networks = config.adaptive.random_networks
    narrowest = [relative(one, full) for one in sampling.narrowest]
    return StepCost(
        full=count_model(model, crop).macs / 1e9,
        narrowest=mean(each[one] for one in sampling.narrowest),
        random=sum(each[one] * share for one, share in frequencies.items()),
        random_networks=random_networks,
        equation_2=1
        + mean(narrowest)
        + random_networks * relative_random(sampling, full),
    )


def shares(sampling: SubNetworkSampling) -> dict[SubNetwork, float]:
    """Returns how often each program of random sub-networks is drawn."""
    if sampling.interval is None:
        return dict.fromkeys(sampling.random, 1 / len(sampling.random))
    low, high = sampling.interval
    resolutions = len(sampling.narrowest)
    found, below = {}, low
    for width in sorted({one.width for one in sampling.random}):
        share = (width - below) / (high - low) / resolutions
        found |= {one: share for one in sampling.random if one.width == width}
        below = width
    return found


def relative(one: SubNetwork, full: SubNetwork) -> float:
    """Equation 2: width² x side² x frames, as fractions of the full network's."""
    return one.width**2 * (one.side / full.side) ** 2 * one.frames / full.frames


def relative_random(sampling: SubNetworkSampling, full: SubNetwork) -> float:
    """The mean of equation 2 over random sub-networks; of the interval's widths exactly."""
    if sampling.interval is None:
        return mean(relative(one, full) for one in sampling.random)
    low, high = sampling.interval
    squared = (low**2 + low * high + high**2) / 3
    resolutions = (
        relative(one._replace(width=1.0), full) for one in sampling.narrowest
    )
    return squared * mean(resolutions)


def mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def lines(found: StepCost, full: SubNetwork) -> list[str]:
    """Returns a Markdown table, and a sentence on equation 2."""
    rows = (
        (f"full network, {full.side}² x {full.frames}", 1, found.full),
        ("narrowest, mean of its resolutions", 1, found.narrowest),
        ("random, mean of those drawn", found.random_networks, found.random),
    )
    table = [
        "| a training step's | networks | GFLOPs a clip | of the full network |",
        "|---|---|---|---|",
    ]
    for name, number, gflops in rows:
        table.append(
            f"| {name} | {number} | {gflops:.2f} | {gflops / found.full:.3f} |"
        )
    table.append(
        f"| step | {2 + found.random_networks} | {found.step:.2f} | {found.ratio:.3f} |"
    )
    return [
        *table,
        "",
        f"By equation 2, a step is {found.equation_2:.3f} of the full network's.",
    ]
