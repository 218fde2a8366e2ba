"""Which implementation runs, decided when a program is lowered for its platform.

Never by the host's default device: a program may be compiled for a chip that is not here.
"""

from collections.abc import Callable

import jax
from jax.extend.core import Primitive
from jax.interpreters import mlir


def on_platforms(branches: dict[str, Callable], *args, default: Callable):
    """Runs the branch of the platform that the program is lowered for.

    Args:
      branches: functions by the names of `jax.lax.platform_dependent` ("cpu", "tpu",
        "cuda", "rocm").
      *args: arrays, given to the branch.
      default: for every other platform.
    """
    if not branches:
        return default(*args)
    return jax.lax.platform_dependent(*args, default=default, **branches)


def refuse(why: str, like: Callable):
    """A branch that raises `NotImplementedError(why)` if a program with it is lowered.

    Args:
      why: the message.
      like: a function whose results have the shapes and dtypes of this branch's.
    """

    def branch(*args):
        flat, tree = jax.tree.flatten(jax.eval_shape(like, *args))
        avals = tuple(jax.core.ShapedArray(a.shape, a.dtype) for a in flat)
        return jax.tree.unflatten(tree, _refuse.bind(*args, why=why, avals=avals))

    return branch


_refuse = Primitive("kernel_not_here")
_refuse.multiple_results = True
_refuse.def_abstract_eval(lambda *args, why, avals: avals)


def _raise(*args, why, avals):
    raise NotImplementedError(why)


_refuse.def_impl(_raise)
mlir.register_lowering(_refuse, _raise)
