"""Runs Pallas kernels for a TPU on a CPU, by the strictest of Pallas' interpreters."""

import contextlib
import dataclasses

import jax
from jax._src.pallas.mosaic.interpret import interpret_pallas_call
from jax.experimental.pallas import tpu as pltpu

from vidshift.kernels.dispatch import forced

STRICT = pltpu.InterpretParams(
    # VMEM scratch, outputs before they are written, and the part of a block that lies
    # beyond its array are nan.
    uninitialized_memory="nan",
    # Within a kernel every read and write has to be inside of its block.
    out_of_bounds_reads="raise",
    # A copy that a kernel starts is done when it is waited for, not before.
    dma_execution_mode="on_wait",
    # Axes of the grid that are called parallel come in another order.
    random_seed=1,
)


def strict(cores: int = 1) -> pltpu.InterpretParams:
    return dataclasses.replace(
        STRICT, num_cores_or_threads=cores, detect_races=cores > 1
    )


@contextlib.contextmanager
def on_cpu(implementation: str, cores: int = 1):
    """Lets an implementation run here that a call names: a kernel for a TPU, interpreted.

    At its end a race of cores is an error.
    """
    if implementation == "xla":
        yield
        return
    with races_refused(), forced(implementation, interpret=strict(cores)):
        yield


@contextlib.contextmanager
def strictly_interpreted(cores: int = 1):
    """Within it `pl.pallas_call` is interpreted; at its end a race of cores is an error.

    Two cores share the axes of the grid that are called parallel, and take twice the time.
    """
    with races_refused(), pltpu.force_tpu_interpret_mode(strict(cores)):
        yield


@contextlib.contextmanager
def races_refused():
    try:
        yield
        jax.effects_barrier()  # until all that was started has been interpreted
        races = interpret_pallas_call.races
        assert races is None or not races.races_found, "a race, printed above"
    finally:
        pltpu.reset_tpu_interpret_mode_state()
