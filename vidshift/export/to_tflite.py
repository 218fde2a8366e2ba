"""TensorFlow Lite, of builtin operations alone, without TensorFlow: LiteRT's converter."""

import collections
import functools
import pathlib

import jax
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from jax import export
from litert_converter import converter_api_ext as litert
from litert_converter.mlir import ir, passmanager

from vidshift.export.portable import portable
from vidshift.export.program import PortableProgram

SYMBOLIC = False
SIGNATURE = "serving_default"


def write(program: PortableProgram, path: pathlib.Path) -> dict:
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


def _pool(x, *, window_dimensions, window_strides, padding, join, empty, **_):
    """Pools along one axis after another, from slices: of any order of axes."""
    widths = [(low, high, 0) for low, high in padding]
    x = jax.lax.pad(x, np.asarray(empty, x.dtype), widths)
    for axis, (size, stride) in enumerate(
        zip(window_dimensions, window_strides, strict=True)
    ):
        last = x.shape[axis] - size
        x = functools.reduce(
            join,
            [
                jax.lax.slice_in_dim(x, at, last + at + 1, stride, axis)
                for at in range(size)
            ],
        )
    return x


# The converter has operations of TFLite's own for pooling in one order of axes alone,
# which is not ours.
POOLING = {
    "reduce_window_max": functools.partial(
        _pool, join=jax.lax.max, empty=np.finfo(np.float32).min
    ),
    "reduce_window_sum": functools.partial(_pool, join=jax.lax.add, empty=0),
}


def convert(program: PortableProgram) -> bytes:
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
