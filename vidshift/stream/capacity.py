"""Counts the streams that a device keeps up with, and their memory of the past."""

import functools
import json
import sys
import time
from collections.abc import Callable

import jax
import numpy as np
from flax import nnx

from vidshift.config import DTYPES
from vidshift.nets.drawn import random_network
from vidshift.nets.names import Network, parse
from vidshift.nets.zoo import pick
from vidshift.run import Run
from vidshift.stream.network import make
from vidshift.stream.stepping import stepping

# Of a camera.
FPS = 30.0
CLASSES = 400  # Kinetics'


def main(options) -> int:
    """Prints a table to stderr and a JSON line."""
    name, model, side = _network(options)
    make(model)  # raises where it cannot see frame by frame
    device = jax.devices()[0]
    fps = options.fps or FPS
    described = {"network": name, "side": side, "fps": fps}
    described |= {"device": device.device_kind, "jax": jax.__version__}
    if options.compare:
        print(json.dumps(described | compared(model, name, side, options)))
        return 0
    say = functools.partial(print, file=sys.stderr, flush=True)
    say(f"{name}, {side} x {side}, {device.device_kind}, jax {jax.__version__}")
    say(
        f"{'streams':>7} {'median':>10} {'99 %':>10} {'frames/s':>9}  at {fps:g} a second"
    )
    rows, most, streams = [], 0, 1
    while streams <= options.largest:
        step = stepping(model, streams, side)
        seconds = [_timed(step) for _ in range(options.steps)]
        row = {"streams": streams} | percentiles(seconds)
        row["keeps_up"] = row["p99_ms"] <= 1000 / fps
        rows.append(row)
        rate = streams / (row["median_ms"] / 1000)
        say(
            f"{streams:7} {row['median_ms']:7.2f} ms {row['p99_ms']:7.2f} ms {rate:9.1f}  "
            f"{'keeps up' if row['keeps_up'] else 'lags'}"
        )
        if not row["keeps_up"]:
            break
        most, streams = streams, 2 * streams
    print(json.dumps(described | {"streams": most, "rows": rows}))
    return 0


def _network(options) -> tuple[str, nnx.Module, int]:
    """Returns the name, the network, of a run or of random weights, and its side."""
    if options.run is not None:
        run = Run.open(options.run, options.checkpoint)
        return str(run.checkpoint), run.network(), run.view.crop
    pick("dtype", options.dtype, dict.fromkeys(DTYPES))
    network = parse(options.network)
    return network.name, _drawn(network, options.dtype), options.side


def _drawn(network: Network, dtype: str) -> nnx.Module:
    return random_network(
        network.abstract(num_classes=CLASSES, num_frames=8, dtype=dtype)
    )


def percentiles(seconds: list[float]) -> dict[str, float]:
    median, p99 = (1000 * np.percentile(seconds, (50, 99))).tolist()
    return {"median_ms": median, "p99_ms": p99}


def compared(model: nnx.Module, name: str, side: int, options) -> dict:
    """Times a step of one stream beside TSN's, in turns; returns the median ratio too.

    Raises:
      ValueError: the network is a run's, which has no TSN of its own.
    """
    if options.network is None:
        raise ValueError("--compare takes --network, which TSN can be made of")
    tsn = _drawn(parse(name).under_tsn(), options.dtype)
    ours, theirs = (stepping(m, 1, side) for m in (model, tsn))
    seconds = {ours: [], theirs: []}
    for turn in range(options.steps):
        # The network that begins takes turns too.
        for step in (ours, theirs) if turn % 2 else (theirs, ours):
            seconds[step].append(_timed(step))
    ratios = np.divide(seconds[ours], seconds[theirs])
    low, ratio, high = np.percentile(ratios, (25, 50, 75)).tolist()
    return {
        "pairs": options.steps,
        "times_tsn": ratio,
        "times_tsn_quartiles": [low, high],
        **percentiles(seconds[ours]),
        "tsn": percentiles(seconds[theirs]),
        "state_bytes": sum(a.nbytes for a in make(model)[0](1, side).values()),
    }


def _timed(one: Callable[[], None]) -> float:
    began = time.perf_counter()
    one()
    return time.perf_counter() - began
