"""Launches compiled kernels on the evaluator where the project calls jax-triton."""

import contextlib
import importlib.util
import sys
import warnings
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.ttir.evaluator import evaluate
from tests.support.ttir.memory import Buffer
from tests.support.ttir.parser import Function, parse
from vidshift.kernels.triton_gpu import TYPES, compiling_for, not_installed

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="triton is not installed (it is for Linux)",
)
needs_jax_triton = pytest.mark.skipif(
    bool(not_installed()), reason=f"the kernels for a GPU: {not_installed()}"
)
CAPABILITY = 90  # H100


class Launch(NamedTuple):
    kernel: str
    constants: dict
    moved: dict[str, int]  # argument -> bytes that the programs load or store of it

    def moved_bytes(self, *, without=()) -> int:
        return sum(size for name, size in self.moved.items() if name not in without)


def compile_to_ttir(kernel, dtypes, constants, *, num_warps=4, num_stages=1) -> str:
    """Compiles a kernel as jax-triton does, up to the optimised TTIR.

    Args:
      dtypes: of the arrays that the kernel's pointers are to, in order.
    """
    from triton._C.libtriton import ir
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler.compiler import make_backend

    dtypes = iter(dtypes)
    signature = {
        name: "constexpr" if name in constants else f"*{TYPES[next(dtypes).name]}"
        for name in kernel.arg_names
    }
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, kind in enumerate(signature.values())
        if kind != "constexpr"
    }
    source = ASTSource(kernel, signature, constexprs=constants, attrs=aligned)
    target = GPUTarget("cuda", CAPABILITY, 32)
    backend = make_backend(target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the default for a later stage
        options = backend.parse_options(
            {"num_warps": num_warps, "num_stages": num_stages}
        )
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    codegen = backend.get_codegen_implementation(options)
    modules = backend.get_module_map()
    module = source.make_ir(target, options, codegen, modules, context)
    return backend.make_ttir(module, {}, options, CAPABILITY).str_nodebug()


def run(function: Function, names, arrays, outputs, programs: int) -> list[Buffer]:
    """Runs a grid of programs on arrays and on outputs, `jax.ShapeDtypeStruct`s."""
    arrays = [*arrays, *(np.zeros(out.shape, out.dtype) for out in outputs)]
    first_output = len(arrays) - len(outputs)
    buffers = [
        Buffer(name, array, output=i >= first_output, programs=programs)
        for i, (name, array) in enumerate(zip(names, arrays, strict=True))
    ]
    evaluate(function, buffers, np.arange(programs))
    for buffer in buffers[first_output:]:
        left = buffer.data.size - buffer.written.sum()
        assert not left, f"{function.name} leaves {left} places of {buffer.name}"
    return buffers


@contextlib.contextmanager
def launches(*, evaluated=True):
    """Within it the launchers of `kernels` run here; yields the list of launches.

    Args:
      evaluated: whether the kernels run. Without, launches are noted and every result is
        zero, which also works under `jax.eval_shape`.
    """
    noted = []

    def triton_call(
        *args, kernel, out_shape, grid, name, num_warps, num_stages,
        compute_capability, **constants,
    ):  # fmt: skip
        outputs, tree = jax.tree.flatten(out_shape)
        (programs,) = grid
        if not evaluated:
            noted.append(Launch(kernel.__name__, constants, {}))
            results = [jnp.zeros(out.shape, out.dtype) for out in outputs]
            return jax.tree.unflatten(tree, results)
        dtypes = [np.dtype(a.dtype) for a in (*args, *outputs)]
        text = compile_to_ttir(
            kernel, dtypes, constants, num_warps=num_warps, num_stages=num_stages
        )
        names = [n for n in kernel.arg_names if n not in constants]
        arrays = [np.asarray(a) for a in args]
        buffers = run(parse(text), names, arrays, outputs, programs)
        moved = {buffer.name: buffer.size_bytes for buffer in buffers}
        noted.append(Launch(kernel.__name__, constants, moved))
        results = [jnp.asarray(b.array) for b in buffers[len(args) :]]
        return jax.tree.unflatten(tree, results)

    with pytest.MonkeyPatch.context() as patch:
        stand_in = SimpleNamespace(triton_call=triton_call)
        patch.setitem(sys.modules, "jax_triton", stand_in)
        with compiling_for(CAPABILITY):
            yield noted
