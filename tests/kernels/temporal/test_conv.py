"""The shift and the product after it: values, gradients, frames, bad input."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tests.kernels.temporal.test_shift import by_loop
from tests.support.collectives import collectives
from tests.support.dispatch import with_gradients
from tests.support.pallas import on_cpu
from vidshift.kernels import Frames, temporal_shift_conv
from vidshift.kernels.temporal import reference
from vidshift.kernels.temporal.arguments import Move

# Rounding of one product in units of the result's largest value.
TOLERANCE = {"float32": 2e-6, "bfloat16": 2e-2}
IMPLEMENTATIONS = ["xla", "pallas_tpu"]

# x, out channels, fold: few channels, more than a tile of lanes with folds beyond one,
# one frame, odd sizes. Rows in whole tiles, as the kernel wants them.
SHAPES = {
    "small": ((4, 4, 2, 3, 8), 6, 2),
    "beyond_a_tile": ((2, 8, 2, 1, 264), 130, 66),
    "one_frame": ((16, 1, 1, 2, 12), 5, 3),
    "odd": ((16, 3, 1, 5, 9), 7, 1),
    "in_lanes": ((16, 8, 2, 2, 16), 8, 2),  # 128 rows: the kernel turns dz and y
}


def arrays_of(shape, out_channels, dtype):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), dtype)
    weight = jnp.asarray(rng.normal(size=(shape[-1], out_channels)), jnp.float32)
    scale = jnp.asarray(rng.normal(size=out_channels), jnp.float32)
    bias = jnp.asarray(rng.normal(size=out_channels), jnp.float32)
    return x, weight, scale, bias


def wanted(x, weight, scale, bias, dy, fold, direction, relu):
    """y and all gradients in float64, by the definition."""
    x, weight, scale, bias, dy = (
        np.asarray(a).astype(np.float64) for a in (x, weight, scale, bias, dy)
    )
    moved = by_loop(x, fold, direction)
    u = moved @ weight
    y = u * scale + bias
    if relu:
        dy = dy * (y > 0)
        y = np.maximum(y, 0)
    rows = tuple(range(dy.ndim - 1))
    dmoved = (dy * scale) @ weight.T
    # The transpose moves back: time backwards, the shift, time backwards.
    dx = by_loop(dmoved[:, ::-1], fold, direction)[:, ::-1]
    dweight = np.tensordot(moved, dy * scale, (rows, rows))
    return y, dx, dweight, (u * dy).sum(rows), dy.sum(rows)


def computed(x, weight, scale, bias, dy, *, frames, implementation, **options):
    def f(x, weight, scale, bias):
        given = Frames.of(x) if frames else x
        y = temporal_shift_conv(
            given,
            weight,
            scale=scale,
            bias=bias,
            implementation=implementation,
            **options,
        )
        return y.clips() if frames else y

    with on_cpu(implementation):
        return jax.jit(with_gradients(f))(x, weight, scale, bias, dy)


def assert_close(results, right, dtype):
    for got, want in zip(results, right, strict=True):
        got = np.asarray(got).astype(np.float64)
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= TOLERANCE[dtype] * np.abs(want).max()


@pytest.mark.parametrize(
    ("name", "implementation", "frames"),
    [
        *((name, "xla", frames) for name in ("small", "odd") for frames in (0, 1)),
        ("small", "pallas_tpu", 0),
        *(
            pytest.param(name, "pallas_tpu", 1, marks=pytest.mark.slow)
            for name in SHAPES
            if name != "small"
        ),
    ],
)
def test_values_and_gradients(name, implementation, frames):
    shape, k, fold = SHAPES[name]
    arrays = arrays_of(shape, k, "float32")
    dy = jnp.float32(np.random.default_rng(1).normal(size=(*shape[:-1], k)))
    options = {"fold": fold, "direction": "both", "relu": True}
    right = wanted(*arrays, dy, **options)
    results = computed(
        *arrays, dy, frames=frames, implementation=implementation, **options
    )
    assert_close(results, right, "float32")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_bfloat16_and_the_past(implementation):
    dtype = "bfloat16"
    shape, k, fold = SHAPES["small"]
    x, weight, scale, bias = arrays_of(shape, k, dtype)
    weight = weight.astype(dtype).astype(jnp.float32)
    dy = jnp.asarray(np.random.default_rng(1).normal(size=(*shape[:-1], k)), dtype)
    options = {"fold": fold, "direction": "past", "relu": True}
    y, *gradients = computed(
        x,
        weight,
        scale,
        bias,
        dy,
        frames=True,
        implementation=implementation,
        **options,
    )
    assert y.dtype == dtype
    assert [g.dtype for g in gradients] == [dtype, "float32", "float32", "float32"]
    right = wanted(x, weight, scale, bias, dy, **options)
    assert_close((y, *gradients), right, dtype)


@pytest.mark.parametrize(
    ("extras", "implementation"),
    [((), "xla"), (("bias",), "xla"), (("scale",), "pallas_tpu")],
)
def test_without_scale_or_bias(extras, implementation):
    shape, k, fold = SHAPES["small"]
    x, weight, *both = arrays_of(shape, k, "float32")
    given = {n: a for n, a in zip(("scale", "bias"), both, strict=True) if n in extras}
    with on_cpu(implementation):
        y, vjp = jax.vjp(
            lambda given: temporal_shift_conv(
                Frames.of(x), weight, fold=fold, implementation=implementation, **given
            ).clips(),
            given,
        )
        found = vjp(y)[0]
    scale = np.asarray(given.get("scale", np.ones(k)))
    bias = np.asarray(given.get("bias", np.zeros(k)))
    right = wanted(x, weight, scale, bias, y, fold, "both", False)
    assert_close([y], right[:1], "float32")
    names = {"scale": right[3], "bias": right[4]}
    assert_close([found[n] for n in extras], [names[n] for n in extras], "float32")


def test_one_product_of_moved_gradients_is_the_moved_product():
    """The TPU's form of dx equals that of the others."""
    rng = np.random.default_rng(0)
    weight = jnp.asarray(rng.normal(size=(9, 4)), jnp.float32)
    dz = jnp.asarray(rng.normal(size=(2, 3, 24, 4)), jnp.float32)
    for move in (
        Move(2, "both", frames=4),
        Move(3, "past", frames=4),
        Move(0, "both", frames=4),
        Move(2, "both", frames=4, parts=2),
    ):
        one = reference.conv_dx_of_moved(dz, weight, move=move)
        other = reference.conv_dx(dz, weight, move=move)
        assert np.allclose(one, other, atol=1e-5), move


@pytest.mark.parametrize("frames", [Frames(jnp.ones((2, 2, 7, 4)), 3),
                                    Frames(jnp.ones((2, 2, 6, 4)), 0)])  # fmt: skip
def test_frames_that_cannot_be(frames):
    with pytest.raises(ValueError, match="N a multiple of 1 parts x"):
        temporal_shift_conv(frames, jnp.ones((4, 4)), fold=1)


def test_frames_do_not_cross_into_a_shard_map(devices):
    x = jnp.ones((64, 3, 2, 2, 8))
    shared = jax.device_put(x, NamedSharding(devices, PartitionSpec("data")))

    def each(frames):
        return temporal_shift_conv(frames, jnp.ones((8, 4)), fold=1)

    spec = PartitionSpec(None, None, "data")
    mapped = jax.shard_map(each, mesh=devices, in_specs=spec, out_specs=spec)
    with pytest.raises(ValueError, match="make them of its own clips"):
        jax.jit(lambda x: mapped(Frames.of(x)).data)(shared)


def test_a_mesh_of_explicit_axes_is_refused():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    x = jax.device_put(
        jnp.ones((8, 3, 2, 2, 8)), NamedSharding(mesh, PartitionSpec("data"))
    )
    with pytest.raises(NotImplementedError, match="axis_types"):
        Frames.of(x)


def test_frames_and_clips_are_each_other():
    x = jnp.arange(8 * 3 * 2 * 4 * 5.0).reshape(8, 3, 2, 4, 5)
    frames = Frames.of(x)
    assert frames.data.shape == (2, 4, 24, 5)
    assert (frames.clips() == x).all()
    # The clips of one frame lie side by side.
    assert (frames.data[:, :, :8] == x[:, 0].transpose(1, 2, 0, 3)).all()
    pooled = frames.data.mean((0, 1))
    assert np.allclose(frames.clip_vectors(pooled), x.mean((2, 3)))
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    shared = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))

    @jax.jit
    def there_and_back(x):
        frames = Frames.of(x)
        assert frames.parts == 4
        pooled = frames.clip_vectors(frames.data.mean((0, 1)))
        return frames.clips(), pooled

    program = there_and_back.lower(shared).compile()
    back, pooled = program(shared)
    assert (back == x).all()
    assert np.allclose(pooled, x.mean((2, 3)))
    assert collectives(program.as_text()) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight": jnp.ones((7, 6))}, r"weight must be \[C, K\] with C=8"),
        ({"weight": jnp.ones(8)}, r"weight must be \[C, K\]"),
        ({"scale": jnp.ones(5)}, r"scale must be \[K\] with K=6"),
        ({"bias": jnp.ones((6, 1))}, r"bias must be \[K\] with K=6"),
        ({"x": jnp.ones((1, 2, 8), jnp.int32)}, "floating type, got int32"),
        ({"x": jnp.ones((2, 8))}, r"x must be \[B, T, ..., C\]"),
        ({"fold": 5}, "fold=5"),
        ({"fold": 1.5}, "fold must be a whole number, got 1.5"),
        ({"weight": jnp.ones((8, 6), complex)}, "weight must be of a floating type"),
        ({"direction": "future"}, "direction must be one of"),
    ],
)  # fmt: skip
def test_bad_input(changed, message):
    arguments = {"x": jnp.ones((1, 2, 8)), "weight": jnp.ones((8, 6)), "fold": 2}
    # Without the check of annotations, which would notice first.
    unchecked = inspect.unwrap(temporal_shift_conv)
    with pytest.raises(ValueError, match=message):
        unchecked(**(arguments | changed))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 8), "whole tiles of 8 rows for float32, got 3 rows"),
        ((4096, 8, 256), "32768 rows of 256 channels do not fit"),
    ],
)
def test_what_the_tpu_kernel_cannot_do_is_said(shape, message):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    weight = jax.ShapeDtypeStruct((shape[-1], 4), jnp.float32)
    call = functools.partial(temporal_shift_conv, fold=1, implementation="pallas_tpu")
    with pytest.raises(NotImplementedError, match=message):
        jax.eval_shape(call, x, weight)
