"""The TPU kernels of `shift3d_conv`: what they move, and that a TPU's compiler takes them."""

import functools
import math

import jax
import jax.numpy as jnp
import pytest

from kernels import shift3d_conv
from kernels.analysis import traffic
from kernels.analysis.shapes import SHIFT3D
from kernels.interpolated.taps import out_sizes
from tests.support.absent_chips import check_for

pytestmark = pytest.mark.slow


def call(shape, direction):
    """A function of `shape`'s x and as many outputs, and its arguments, in bfloat16."""
    f = functools.partial(shift3d_conv, implementation="pallas_tpu", **shape.options)
    channels = shape.x[-1]
    args = [
        jax.ShapeDtypeStruct(shape.x, jnp.bfloat16),
        jax.ShapeDtypeStruct((3, channels), jnp.float32),
        jax.ShapeDtypeStruct((channels, channels), jnp.float32),
    ]
    if direction == "forward":
        return f, args
    args.append(jax.eval_shape(f, *args))
    return lambda x, shift, weight, dy: jax.vjp(f, x, shift, weight)[1](dy), args


@pytest.mark.parametrize("name", ["rubiks_56", "rubiks_14_stride", "rubiks_28_wide"])
def test_each_byte_is_moved_about_once(name):
    """Both directions, but for halos: x, y; x, dy, dx. The shifted x is nowhere."""
    (shape,) = (shape for shape in SHIFT3D if shape.name == name)
    places = shape.x[0] * math.prod(out_sizes(shape.x[1:4], shape.options["stride"]))
    x = traffic.tpu_bytes(jax.ShapeDtypeStruct(shape.x, jnp.bfloat16))
    y = traffic.tpu_bytes(
        jax.ShapeDtypeStruct((places // 8, 8, shape.x[-1]), jnp.bfloat16)
    )
    forward, backward = (
        traffic.pallas_bytes(f, *args)
        for f, args in (call(shape, "forward"), call(shape, "backward"))
    )
    assert x + y < forward < 1.3 * (x + y)
    assert 2 * x + y < backward < 1.3 * (2 * x + y)


COMPILE = """
from jax.experimental.layout import Format, Layout
from kernels.analysis.shapes import SHIFT3D
from tests.kernels.interpolated_conv.test_tpu import call
free = Format(Layout.AUTO, sharding)
for shape in SHIFT3D:
    if shape.name not in ("rubiks_56", "rubiks_7", "rubiks_14_stride"):
        continue
    for direction in ("forward", "backward"):
        f, args = call(shape, direction)
        program = compiled(jax.jit(f, in_shardings=free, out_shardings=free), *args)
        assert f"shift3d_conv_{direction}_pallas_tpu" in program.as_text()
        temporary = program.memory_analysis().temp_size_in_bytes
        assert temporary < 2**20, (shape.name, direction, temporary)
"""


def test_compiles_for_an_absent_v5e():
    """With nothing but the kernel: no copy of the features is made around it."""
    check_for("v5e", COMPILE)
