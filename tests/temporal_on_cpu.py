"""The temporal shift's implementations on a CPU."""

import contextlib

import pytest
from jax.experimental.pallas import tpu as pltpu

from kernels.temporal import op


@contextlib.contextmanager
def on_cpu(implementation: str | None):
    """Lets a kernel for a TPU run here, interpreted.

    The interpreter calls back to the host, which a program may not do that is chosen when
    it is lowered; so what would be chosen is called at once.
    """
    if implementation != "pallas_tpu":
        yield
        return

    def at_once(*arrays, piece, how):
        return op._run(how.implementation, piece, how, "tpu", *arrays)

    with pytest.MonkeyPatch.context() as patch, pltpu.force_tpu_interpret_mode():
        patch.setattr(op, "_operation", at_once)
        try:
            yield
        finally:
            pltpu.reset_tpu_interpret_mode_state()
