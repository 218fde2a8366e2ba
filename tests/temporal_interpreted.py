"""Runs the Triton kernels of the temporal shift on a CPU, by Triton's interpreter.

    TRITON_INTERPRET=1 python -m tests.temporal_interpreted cases.npz results.npz

As tests.triton_interpreted, whose stand-in for jax-triton it uses. `addresses` runs one
program without any memory, for tensors that would not fit into it.
"""

import json
import sys
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import triton.language as tl
from triton.runtime import interpreter

from tests import triton_interpreted
from tests.triton_interpreted import Executor, launches

BASE = 2**52  # bytes from one tensor's address to the next one's


class Program:
    """Triton's interpreter as one program, that reads zeros and keeps the addresses."""

    def __init__(self, program):
        self.program = program
        self.builder = interpreter.interpreter_builder
        self.seen = [np.zeros(0, np.int64)]

    def __enter__(self):
        self.builder.create_masked_load = self.load
        self.builder.create_masked_store = self.store
        self.builder.create_get_program_id = self.program_id
        return self

    def __exit__(self, *_):
        del self.builder.create_masked_load, self.builder.create_masked_store
        del self.builder.create_get_program_id

    def program_id(self, axis):
        return interpreter.TensorHandle(np.array([self.program], np.int32), tl.int32)

    def load(self, pointers, mask, *_):
        self.store(pointers, None, mask)
        dtype = pointers.get_element_ty()
        zeros = np.zeros(pointers.data.shape, interpreter._get_np_dtype(dtype))
        return interpreter.TensorHandle(zeros, dtype)

    def store(self, pointers, value, mask, *_):
        kept = np.broadcast_to(mask.data, pointers.data.shape)
        self.seen.append(np.unique(pointers.data[kept].astype(np.int64)))


def addresses(name, shape, out_channels, fold, program) -> np.ndarray:
    """Those of a program on bfloat16, sorted; argument n of the kernel is at n * BASE.

    Each tile of rows is a part of dw.
    """
    from kernels.temporal import gpu_kernels, gpu_plan

    gpu_plan.PROGRAMS = {2: 2**31}
    of = {"fold": fold, "direction": "both", "out_channels": out_channels}
    plan = gpu_plan.plan(name, shape, 2, **of)
    kernel = getattr(gpu_kernels, plan.kernel)
    pointers = [
        SimpleNamespace(
            data_ptr=lambda n=n: n * BASE,
            dtype="fp32" if argument == "parts_ptr" else "bf16",
        )
        for n, argument in enumerate(kernel.arg_names)
        if argument.endswith("_ptr")
    ]
    with Program(program % plan.programs) as found:
        Executor(kernel.rewrite(), kernel.arg_names, (1,))(*pointers, **plan.constants)
    return np.unique(np.concatenate(found.seen))


def run(arrays: dict, *, programs=None, relu=False, **options) -> dict:
    """Name of a function -> its result; `bytes` has what each moved."""
    from kernels.temporal import gpu, gpu_plan

    if programs is not None:
        gpu_plan.PROGRAMS = dict.fromkeys(gpu_plan.PROGRAMS, programs)
    given = {name: jnp.asarray(a) for name, a in arrays.items()}
    x = given["x"]
    launches.clear()
    results = {
        "shift": gpu.shift(x, **options),
        "shift_reverse": gpu.shift(x, reverse=True, **options),
    }
    if "w" in given:
        w, dz = given["w"], given["dz"]
        scale, bias = given.get("scale"), given.get("bias")
        results |= {
            "shift_conv": gpu.shift_conv(x, w, scale, bias, relu=relu, **options),
            "shift_conv_dx": gpu.shift_conv_dx(dz, w, **options),
            "shift_conv_dw": gpu.shift_conv_dw(x, dz, **options),
        }
    return results | {"bytes": np.array([size for _, size in launches])}


def main(cases_path, results_path):
    sys.modules["jax_triton"] = SimpleNamespace(
        triton_call=triton_interpreted.triton_call
    )
    from kernels.interpolated import gpu as interpolated_gpu
    from kernels.temporal import gpu_plan

    interpolated_gpu._any_gpu = lambda: True
    most = gpu_plan.PROGRAMS
    given = np.load(cases_path)
    results = {}
    for i, case in enumerate(json.loads(str(given["cases"]))):
        gpu_plan.PROGRAMS = most
        if "program" in case:
            results[f"addresses_{i}"] = addresses(**case)
            continue
        types = case.pop("types")
        arrays = {n: given[f"{n}_{i}"].view(jnp.dtype(t)) for n, t in types.items()}
        for name, value in run(arrays, **case).items():
            value = np.asarray(value)
            results[f"{name}_{i}"] = value.view(f"u{value.dtype.itemsize}")
    np.savez(results_path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
