"""The temporal shift's implementations on a CPU."""

import contextlib

import pytest

from kernels.temporal import op
from tests.support.pallas import strictly_interpreted


@contextlib.contextmanager
def on_cpu(implementation: str | None, cores: int = 1):
    """Lets a kernel for a TPU run here, interpreted.

    The interpreter calls back to the host, which a program may not do that is chosen when
    it is lowered; so what would be chosen is called at once.
    """
    if implementation != "pallas_tpu":
        yield
        return

    def at_once(*arrays, piece, how):
        return op._run(how.implementation, piece, how, "tpu", *arrays)

    with pytest.MonkeyPatch.context() as patch, strictly_interpreted(cores):
        patch.setattr(op, "_operation", at_once)
        yield
