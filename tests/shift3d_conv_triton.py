"""Runs the Triton kernels of `shift3d_conv` on a CPU, by Triton's interpreter.

    TRITON_INTERPRET=1 python -m tests.shift3d_conv_triton cases.npz results.npz

In a process of its own, as `triton_interpreted`, whose stand-in for the launch this uses.
"""

import json
import sys
from types import SimpleNamespace

import jax.numpy as jnp
import ml_dtypes
import numpy as np

from tests.triton_interpreted import BITS, launches, triton_call


def main(cases_path, results_path):
    sys.modules["jax_triton"] = SimpleNamespace(triton_call=triton_call)
    from kernels.interpolated import gpu, gpu_conv

    gpu._any_gpu = lambda: True
    given = np.load(cases_path)
    results = {}
    for i, case in enumerate(json.loads(str(given["cases"]))):
        dtype, relu = case.pop("dtype"), case.pop("relu")
        gpu_conv.PROGRAMS = case.pop("programs")
        narrow = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float32
        x, weight, dy = (
            jnp.asarray(given[f"{a}{i}"].view(narrow)) for a in ("x", "weight", "dy")
        )
        shift, scale, bias = (
            jnp.asarray(given[f"{a}{i}"]) for a in ("shift", "scale", "bias")
        )
        launches.clear()
        y = gpu_conv.forward(x, shift, weight, scale, bias, relu=relu, **case)
        dx, dshift, dweight = gpu_conv.backward(x, shift, weight, dy, **case)
        results[f"y{i}"] = np.asarray(y).view(BITS[dtype])
        results[f"dx{i}"] = np.asarray(dx).view(BITS[dtype])
        results[f"dshift{i}"] = np.asarray(dshift).sum(axis=0)
        results[f"dweight{i}"] = np.asarray(dweight).sum(axis=0)
        sizes = dict(launches)
        names = ("shift3d_conv_forward_triton", "shift3d_conv_weight_triton")
        results[f"bytes{i}"] = np.array([sizes[name] for name in names])
    np.savez(results_path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
