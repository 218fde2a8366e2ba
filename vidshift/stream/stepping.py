"""A stream's step, run again and again to be timed."""

from collections.abc import Callable

import jax
import numpy as np
from flax import nnx

from vidshift.stream.network import make

# Steps before the first that counts.
WARM = 5


def stepping(model: nnx.Module, streams: int, side: int) -> Callable[[], None]:
    """Compiles a step of some streams, from the host to the host, and runs it `WARM` times."""
    init, step = make(model)
    cache = init(streams, side)
    frame = np.random.default_rng(0).standard_normal(
        (streams, side, side, model.in_channels), np.float32
    )

    def one() -> None:
        nonlocal cache
        logits, cache = step(cache, frame)
        # The next frame finds the device at rest, as the next of a camera does.
        jax.block_until_ready((logits, cache))

    for _ in range(WARM):
        one()
    return one
