"""A function as plain operations of JAX, whatever the chip."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from vidshift.kernels.lowering import REFERENCES

# Operations that call a program and do nothing else, and the parameters that hold it.
CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint")
CALLS += ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def portable(function: Callable, rules: Mapping[str, Callable] = {}) -> Callable:
    """Returns the function of arrays to a tuple without our kernels and without calls.

    A kernel becomes its reference, which is XLA's own operations: Triton's kernels are
    not understood by other releases of JAX, and no other runtime knows either kind. What
    depends on the platform becomes its default.
    `rules` has, by an operation's name, what takes its place: (*arrays, **parameters) ->
    its one result.
    """

    def run(*arrays):
        closed = jax.make_jaxpr(function)(*arrays)
        return tuple(_evaluate(closed.jaxpr, closed.consts, arrays, rules))

    return run


def _evaluate(jaxpr: Jaxpr, consts, arrays, rules) -> list:
    values = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= dict(zip(jaxpr.invars, arrays, strict=True))

    def read(atom):
        return atom.val if isinstance(atom, Literal) else values[atom]

    for eqn in jaxpr.eqns:
        given = [read(atom) for atom in eqn.invars]
        if reference := REFERENCES.get(eqn.primitive):
            found = portable(partial(reference, **eqn.params), rules)(*given)
        elif eqn.primitive.name == "platform_index":
            found = [None]  # its branches are chosen below
        elif eqn.params.get("branches_platforms"):
            body = _of_any_platform(eqn)
            found = _evaluate(body.jaxpr, body.consts, given[1:], rules)
        elif eqn.primitive.name in CALLS:
            body = next(eqn.params[name] for name in BODIES if name in eqn.params)
            closed = isinstance(body, ClosedJaxpr)
            inner, inner_consts = (body.jaxpr, body.consts) if closed else (body, ())
            found = _evaluate(inner, inner_consts, given, rules)
        elif eqn.primitive.name in rules:
            found = [rules[eqn.primitive.name](*given, **eqn.params)]
        else:
            found = eqn.primitive.bind(*given, **eqn.params)
            found = found if eqn.primitive.multiple_results else [found]
        values |= dict(zip(eqn.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _of_any_platform(eqn) -> ClosedJaxpr:
    """Returns the branch of a `jax.lax.platform_dependent` for platforms not named."""
    platforms = eqn.params["branches_platforms"]
    return eqn.params["branches"][platforms.index(None)]
