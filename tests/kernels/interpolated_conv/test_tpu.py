"""The TPU kernels of `shift3d_conv`, compiled for an absent chip."""

import pytest

from tests.support.absent_chips import check_for

pytestmark = pytest.mark.slow


COMPILE = """
from jax.experimental.layout import Format, Layout
from vidshift.kernels.analysis.cases import Case
from vidshift.kernels.analysis.shapes import SHIFT3D_CONV
free = Format(Layout.AUTO, sharding)
for shape in SHIFT3D_CONV:
    if shape.name not in ("rubiks_56", "rubiks_7", "rubiks_14_stride"):
        continue
    for direction in ("forward", "backward"):
        case = Case("shift3d_conv", "pallas_tpu", direction, shape, "bfloat16")
        program = jax.jit(case.function(), in_shardings=free, out_shardings=free)
        program = compiled(program, *case.arguments())
        assert f"shift3d_conv_{direction}_pallas_tpu" in program.as_text()
        temporary = program.memory_analysis().temp_size_in_bytes
        assert temporary < 2**20, (shape.name, direction, temporary)
"""


def test_compiles_for_an_absent_v5e():
    """With nothing but the kernel: no copy of the features is made around it."""
    check_for("v5e", COMPILE)
