"""The implementations that a program would run, without lowering it."""

import jax
from jax.extend import core

from vidshift.kernels.lowering import CHOOSERS


def chosen(platform: str, function, *arrays, devices: int = 1) -> dict[str, str]:
    """Piece -> the scope of what runs, "shift3d_forward_xla" for example."""
    jaxpr = jax.make_jaxpr(function)(*arrays)
    names = {}
    for eqn in _equations(jaxpr.jaxpr):
        if choose := CHOOSERS.get(eqn.primitive):
            shapes = [
                jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars
            ]
            run = choose(platform, devices, *shapes, **eqn.params)
            names[eqn.params["piece"]] = run.__name__
    return names


def with_gradients(function):
    """A function of the arrays and dy to y and the gradients in all arrays."""

    def value_and_gradients(*arrays):
        *arrays, dy = arrays
        y, vjp = jax.vjp(function, *arrays)
        return y, *vjp(dy)

    return value_and_gradients


def _equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in core.jaxprs_in_params(eqn.params):
            yield from _equations(inner)
