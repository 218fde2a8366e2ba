"""TensorFlow Lite, of builtin operations alone, without TensorFlow: LiteRT's converter."""

import collections
import pathlib

import jax
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from jax import export
from litert_converter import converter_api_ext as litert
from litert_converter.mlir import ir, passmanager

from vidshift.export.portable import portable
from vidshift.export.program import Program

SYMBOLIC = False
SIGNATURE = "serving_default"


def write(program: Program, path: pathlib.Path) -> dict:
    """Writes a program; says which operations and arrays are in it.

    Raises:
      ValueError: the converter knows no builtin operations for it.
    """
    path.write_bytes(convert(program))
    # As the graph is in the file, before a delegate puts operations together. Those of
    # StableHLO are builtin but few runtimes and no delegates have them.
    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    operations = collections.Counter(
        each["op_name"] for each in interpreter._get_ops_details()
    )
    special = [
        name for name in operations if name.startswith(("Flex", "CUSTOM", "STABLEHLO"))
    ]
    if special:
        raise ValueError(f"tflite: no builtin operations for {', '.join(special)}")
    return {
        "operations": dict(sorted(operations.items())),
        "max_rank": max(len(a["shape"]) for a in interpreter.get_tensor_details()),
    }


def _pool_max(x, *, window_dimensions, window_strides, padding, **_):
    return _pool(
        x,
        lambda x, sizes, strides: jax.lax.reduce_window(
            x, -np.inf, jax.lax.max, (1, *sizes, 1), (1, *strides, 1), "VALID"
        ),
        np.finfo(x.dtype).min,
        (window_dimensions, window_strides, padding),
    )


def _pool_sum(x, *, window_dimensions, window_strides, padding, **_):
    def sums(x, sizes, strides):
        ones = np.ones((*sizes, 1, x.shape[-1]), x.dtype)
        return jax.lax.conv_general_dilated(
            x,
            ones,
            strides,
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )

    return _pool(x, sums, 0, (window_dimensions, window_strides, padding))


def _pool(x, pool, padded, window):
    """Pools `[N, H, W, C]`, the one order that the converter knows pooling in."""
    sizes, strides, padding = window
    plain = [a for a in range(x.ndim) if sizes[a] == strides[a] == 1]
    if x.ndim != 4 or len(plain) < 2:
        raise ValueError("tflite: pooling over more than two axes")
    first, last = plain[-2:]
    inner = [a for a in range(4) if a not in (first, last)]
    order = (first, *inner, last)
    padding = [(low, high, 0) for low, high in padding]
    x = jax.lax.pad(x, np.asarray(padded, x.dtype), padding).transpose(order)
    x = pool(x, [sizes[a] for a in inner], [strides[a] for a in inner])
    return x.transpose(np.argsort(order).tolist())


# What the converter makes no operations of TFLite's own of, in this order of axes.
POOLING = {"reduce_window_max": _pool_max, "reduce_window_sum": _pool_sum}


def convert(program: Program) -> bytes:
    function = jax.jit(portable(program.function, POOLING), keep_unused=True)
    exported = export.export(function, platforms=("cpu",))(*program.shapes)
    context = ir.Context()
    litert.prepare_mlir_context(context)
    with context, ir.Location.unknown():
        module = ir.Module.parse(exported.mlir_module())
        (main,) = (
            op
            for op in module.body.operations
            if op.attributes["sym_name"].value == "main"
        )
        names = (
            [name for name, _ in part] for part in (program.inputs, program.outputs)
        )
        litert.set_signature(main.operation, SIGNATURE, *names)
        passes = passmanager.PassManager()
        litert.run_convert_to_tfl_passes(module, passes, litert.ConvertToTFLConfig())
        try:
            passes.run(module.operation)
        except Exception as error:
            raise ValueError(f"tflite: {error}") from error
        return litert.export_flatbuffer_to_bytes(module.operation)
