"""StableHLO, as `jax.export` serialises it: for CPU, TPU and GPU, with any batch size."""

import collections
import pathlib
import re

import jax
from jax import export

from vidshift.export.program import PortableProgram

PLATFORMS = ("cpu", "tpu", "cuda")
SYMBOLIC = True


def write(program: PortableProgram, path: pathlib.Path) -> dict:
    """Writes a program; says which operations and arrays are in it."""
    # JAX leaves out of a program what it does not read, unless it is told not to.
    function = jax.jit(program.function, keep_unused=True)
    exported = export.export(function, platforms=PLATFORMS)(*program.shapes)
    text = exported.mlir_module()
    operations = collections.Counter(re.findall(r"\bstablehlo\.(\w+)", text))
    calls = set(re.findall(r"custom_call @(\w+)", text))
    # Checks of the batch size, of JAX's own.
    if calls - {"shape_assertion"}:
        raise ValueError(f"the program calls {sorted(calls)}, which is not portable")
    path.write_bytes(exported.serialize())
    return {
        "operations": dict(sorted(operations.items())),
        "max_rank": max(
            len(re.findall(r"[\d?]+x", shape))
            for shape in re.findall(r"tensor<((?:[\d?]+x)+)[a-z]", text)
        ),
        "platforms": list(PLATFORMS),
    }
