"""Runs the Triton kernels of `shift3d` on a CPU, by Triton's interpreter.

    TRITON_INTERPRET=1 python -m tests.triton_interpreted cases.npz results.npz

In a process of its own, since the variable changes what `triton.jit` makes. Everything of
a launch is computed by `kernels.interpolated.gpu` itself; only what starts the programs
stands in for jax-triton, and notes each load and store, to count the bytes of a program.
"""

import json
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import triton.language as tl
from triton.runtime import interpreter

TRITON_TYPES = {
    "float32": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "int32": "i32",
    "uint16": "u16",
}
BITS = {"float32": np.uint32, "bfloat16": np.uint16}


class Executor(interpreter.GridExecutor):
    """On NumPy arrays, where Triton's own copies torch tensors to and fro."""

    def _init_args_hst(self, args, kwargs):
        return args, kwargs

    def _restore_args_dev(self, *args):
        pass


# What a kernel promises of n neighbours, and the compiler believes.
PROMISES = {
    "tt.contiguity": lambda group, n: group == group[..., :1] + np.arange(n),
    "tt.constancy": lambda group, n: group == group[..., :1],
    "tt.divisibility": lambda group, n: group[..., :1] % n == 0,
}


def _check_promise(handle, key, values):
    for axis, n in enumerate(values):
        data = np.moveaxis(handle.data, axis, -1)
        groups = data.reshape(*data.shape[:-1], -1, n)
        assert PROMISES[key](groups, n).all(), f"{key} is not {values}"


interpreter.TensorHandle.set_attr = _check_promise


patched = set()  # modules whose language a launch has patched


def _call(function, *args, **kwargs):
    """Triton's own patches the language at each call, a third of the time."""
    module = function.fn.__module__
    if module not in patched:
        interpreter._patch_lang(function.fn)
        patched.add(module)
    return function.rewrite()(*args, **kwargs)


interpreter.InterpretedFunction.__call__ = _call


class Builder:
    """Triton's interpreter, noting the distinct addresses of each program."""

    def __init__(self, skipped):
        self.builder = interpreter.interpreter_builder
        self.skipped = [(a.ctypes.data, a.ctypes.data + a.nbytes) for a in skipped]
        self.seen = set()
        self.size_bytes = 0

    def __enter__(self):
        self.builder.create_masked_load = self.masked_load
        self.builder.create_masked_store = self.masked_store
        self.builder.create_dot = self.dot
        return self

    def __exit__(self, *_):
        del self.builder.create_masked_load, self.builder.create_masked_store
        del self.builder.create_dot
        self.size_bytes = sum(size for *_, size in self.seen)

    def masked_load(self, pointers, mask, *rest):
        self.note("load", pointers, mask)
        return type(self.builder).create_masked_load(
            self.builder, pointers, mask, *rest
        )

    def masked_store(self, pointers, value, mask, *rest):
        self.note("store", pointers, mask)
        return type(self.builder).create_masked_store(
            self.builder, pointers, value, mask, *rest
        )

    def dot(self, a, b, d, *_):
        """Triton's own multiplies bfloat16's bits as if they were numbers."""
        a, b = (
            (m.data.astype(np.uint32) << 16).view(np.float32)
            if m.dtype.scalar == tl.bfloat16
            else m.data.astype(np.float32)
            for m in (a, b)
        )
        return interpreter.TensorHandle(a @ b + d.data, tl.float32)

    def note(self, kind, pointers, mask):
        addresses = pointers.data[np.broadcast_to(mask.data, pointers.data.shape)]
        for start, end in self.skipped:
            addresses = addresses[(addresses < start) | (addresses >= end)]
        size = pointers.get_element_ty().primitive_bitwidth // 8
        program = self.builder.grid_idx
        self.seen.update((program, kind, a, size) for a in addresses.tolist())


launches = []  # (name, bytes) of each


def triton_call(
    *args,
    kernel,
    out_shape,
    grid,
    name,
    num_warps,
    num_stages,
    compute_capability,
    **of,
):
    """jax_triton's, on concrete arrays."""
    args = [np.array(a) for a in args]
    shapes, tree = jax.tree.flatten(out_shape)
    # What a kernel does not write shows.
    out = [np.full(s.shape, 77, s.dtype) for s in shapes]
    pointers = [
        SimpleNamespace(
            data_ptr=lambda a=a: a.ctypes.data, dtype=TRITON_TYPES[a.dtype.name]
        )
        for a in args + out
    ]
    # Of shift3d the shift, of a convolution the scale and the bias.
    small = [a for a in args if a.ndim == (2 if name.startswith("shift3d") else 1)]
    patched.clear()
    with Builder(small) as traffic:
        Executor(kernel.rewrite(), kernel.arg_names, grid)(*pointers, **of)
    launches.append((name, traffic.size_bytes))
    return jax.tree.unflatten(tree, list(map(jnp.asarray, out)))


def main(cases_path, results_path):
    sys.modules["jax_triton"] = SimpleNamespace(triton_call=triton_call)
    from kernels.interpolated import gpu

    gpu._any_gpu = lambda: True
    given = np.load(cases_path)
    results = {}
    for i, case in enumerate(json.loads(str(given["cases"]))):
        dtype = case.pop("dtype")
        narrow = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float32
        x, dy = (jnp.asarray(given[f"{a}{i}"].view(narrow)) for a in ("x", "dy"))
        shift = jnp.asarray(given[f"shift{i}"])
        launches.clear()
        y = gpu.forward(x, shift, **case)
        dx, parts = gpu.backward(x, shift, dy, **case)
        for key, value in {"y": y, "dx": dx}.items():
            results[f"{key}{i}"] = np.asarray(value).view(BITS[dtype])
        results[f"dshift{i}"] = np.asarray(parts).sum(axis=0)
        results[f"bytes{i}"] = np.array([size for _, size in launches])
    np.savez(results_path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
