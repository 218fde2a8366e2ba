"""Floating-point operations of a program's matrix products and convolutions.

Counted from the jaxpr, so the same for every chip and compiler: a multiplication and an
addition for each pair of numbers that the definition multiplies. Places where a
convolution's window hangs over the edge, or falls between the holes of a dilated input,
do not count. Element-wise work does not count either.
"""

import functools
import math

import jax
import numpy as np
from jax.extend import core
from jax.interpreters import partial_eval

from vidshift.kernels.lowering import REFERENCES


def flops(jaxpr, *, hanging: bool = False) -> int:
    """Counts a `jax.make_jaxpr(f)(...)`, or the `jaxpr` of a `jit` that was traced.

    It is the sum over all devices. An operation that is chosen when it is lowered counts
    as it is written for XLA, a loop as often as it runs, of branches the largest. A
    kernel that is called by name counts by its `cost_estimate`.

    Args:
      hanging: count where a convolution's window hangs over the edge, too, as published
        tables do: every result takes a whole window.

    Raises:
      NotImplementedError: products in a loop of unknown length, or a kernel that says
        nothing of its cost.
    """
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    # Without results that nothing uses, such as the clips' gradient.
    jaxpr, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _of_jaxpr(jaxpr, hanging)


def _of_jaxpr(jaxpr, hanging: bool) -> int:
    return sum(_of_equation(eqn, hanging) for eqn in jaxpr.eqns)


def _of_equation(eqn, hanging: bool) -> int:
    name, params = eqn.primitive.name, eqn.params
    if name == "dot_general":
        return _of_product(eqn)
    if name == "conv_general_dilated":
        return _of_convolution(eqn, hanging)
    if name == "pallas_call":
        if params["cost_estimate"] is None:
            raise NotImplementedError(f"{params['name']} has no cost_estimate")
        return params["cost_estimate"].flops
    if name == "triton_kernel_call":
        raise NotImplementedError("a Triton kernel says nothing of its cost")
    if reference := REFERENCES.get(eqn.primitive):
        written = jax.make_jaxpr(functools.partial(reference, **params))
        return _of_jaxpr(written(*(v.aval for v in eqn.invars)).jaxpr, hanging)
    inner = [_of_jaxpr(j, hanging) for j in core.jaxprs_in_params(params)]
    if name == "cond":
        return max(inner)
    if name == "while" and any(inner):
        raise NotImplementedError("products in a loop of unknown length")
    times = params.get("length", 1) if name == "scan" else 1
    if name == "shard_map":  # it shows one device's part
        times = params["mesh"].size
    return times * sum(inner)


def _of_product(eqn) -> int:
    (contracted, _), _ = eqn.params["dimension_numbers"]
    left, result = eqn.invars[0].aval.shape, eqn.outvars[0].aval.shape
    return 2 * math.prod(result) * math.prod(left[i] for i in contracted)


def _of_convolution(eqn, hanging: bool) -> int:
    params = eqn.params
    numbers = params["dimension_numbers"]
    left, right = (v.aval.shape for v in eqn.invars)
    result = eqn.outvars[0].aval.shape
    batch, features = (result[i] for i in numbers.out_spec[:2])
    pairs = batch * features * right[numbers.rhs_spec[1]]
    if hanging:
        places = (
            right[i] * result[j]
            for i, j in zip(numbers.rhs_spec[2:], numbers.out_spec[2:], strict=True)
        )
        return 2 * pairs * math.prod(places)
    for axis, (low, _) in enumerate(params["padding"]):
        pairs *= _places(
            left[numbers.lhs_spec[2 + axis]],
            right[numbers.rhs_spec[2 + axis]],
            result[numbers.out_spec[2 + axis]],
            stride=params["window_strides"][axis],
            before=low,
            holes=params["lhs_dilation"][axis],
            spread=params["rhs_dilation"][axis],
        )
    return 2 * pairs


def _places(size, taps, results, *, stride, before, holes, spread) -> int:
    """Along one axis, how often a tap of the window meets a number of the input."""
    at = np.arange(results)[:, None] * stride + np.arange(taps) * spread - before
    return int(np.sum((at >= 0) & (at % holes == 0) & (at // holes < size)))
