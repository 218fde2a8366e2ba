"""`shift3d`: which implementation runs where, and what it refuses."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import pytest

from kernels import shift3d
from kernels.interpolated import op, xla
from tests.support.shift3d_reference import (
    BOUND,
    SHAPE,
    STRIDE,
    out_shape,
    value_and_gradients,
)

X, SHIFT = jnp.zeros((1, 2, 3, 4, 5)), jnp.zeros((3, 5))


def scopes(platform: str, x=X, **options) -> set[str]:
    """The implementations in a program with gradients for a platform."""
    f = functools.partial(value_and_gradients, **options)
    dy = jnp.zeros(out_shape(x.shape), x.dtype)
    lowered = jax.jit(f).trace(x, SHIFT, dy).lower(lowering_platforms=(platform,))
    text = lowered.as_text(debug_info=True)
    found = re.findall(r"shift3d_(forward|backward)_([a-z_]*[a-z])\b", text)
    assert {direction for direction, _ in found} == {"forward", "backward"}
    return {name for _, name in found}


@pytest.fixture
def stand_ins(monkeypatch):
    """Kernels that can run anywhere, under their own names: "xla" inside."""
    for name, entry in op.IMPLEMENTATIONS.items():
        stand_in = entry._replace(forward=xla.forward, backward=xla.backward)
        if name == "triton":
            stand_in = stand_in._replace(missing=lambda *_, **__: None)
        monkeypatch.setitem(op.IMPLEMENTATIONS, name, stand_in)


@pytest.mark.parametrize(
    ("platform", "options", "chosen"),
    [
        ("cpu", {"max_shift": BOUND}, "xla"),
        ("rocm", {"max_shift": BOUND}, "xla"),
        ("tpu", {"max_shift": BOUND}, "pallas_tpu"),
        ("tpu", {}, "xla"),  # it needs a bound
        ("cuda", {"max_shift": BOUND}, "triton"),
        ("cuda", {}, "triton"),
    ],
)
def test_choice_by_platform(stand_ins, platform, options, chosen):
    assert scopes(platform, **options) == {chosen}


@pytest.mark.parametrize(("width", "chosen"), [(4, "pallas_tpu"), (30, "xla")])
def test_wide_window_on_a_tpu(stand_ins, width, chosen):
    """The bound counts as far as it reaches within the clip."""
    x = jnp.zeros((1, 2, 3, width, 5))
    assert scopes("tpu", x, max_shift=(1.0, 1.0, 20.0)) == {chosen}


def test_kernels_do_not_take_every_dtype(stand_ins):
    with jax.enable_x64(True):
        assert scopes("tpu", X.astype(jnp.float64), max_shift=BOUND) == {"xla"}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_lowers_for_a_tpu(dtype):
    f = functools.partial(shift3d, stride=STRIDE, max_shift=BOUND)
    x = jax.ShapeDtypeStruct(SHAPE, dtype)
    shift = jax.ShapeDtypeStruct((3, 6), jnp.float32)
    text = jax.export.export(jax.jit(f), platforms=["tpu"])(x, shift).mlir_module()
    assert "tpu_custom_call" in text


@pytest.mark.parametrize("name", ["pallas_tpu", "triton"])
@pytest.mark.parametrize("how", ["plain", "jit", "grad", "value_and_grad"])
def test_named_implementation_on_another_platform(stand_ins, name, how):
    def loss(x):
        return shift3d(x, SHIFT, max_shift=BOUND, implementation=name).sum()

    f = {
        "plain": loss,
        "jit": jax.jit(loss),
        "grad": jax.grad(loss),
        "value_and_grad": jax.jit(jax.value_and_grad(loss)),
    }[how]
    where = op.IMPLEMENTATIONS[name].platforms[0]
    with pytest.raises(NotImplementedError, match=f"'{name}' runs on {where} alone"):
        f(X)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_named_implementation_on_its_platform(stand_ins, platform):
    name = {"tpu": "pallas_tpu", "cuda": "triton"}[platform]
    assert scopes(platform, max_shift=BOUND, implementation=name) == {name}
    assert scopes(platform, max_shift=BOUND, implementation="xla") == {"xla"}


def test_choices():
    for choice in op.CHOICES:
        assert choice.platform in op.IMPLEMENTATIONS[choice.name].platforms
        assert choice.reason
    platforms = [choice.platform for choice in op.CHOICES]
    assert len(set(platforms)) == len(platforms)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X[0]}, r"x must be \[B, T, H, W, C\], got shape \(2, 3, 4, 5\)"),
        ({"x": X[:, :, :0]}, r"x has no elements: shape \(1, 2, 0, 4, 5\)"),
        ({"x": X[:0]}, "x has no elements"),
        ({"shift": SHIFT[:2]}, r"shift must be \[3, C\].*got shape \(2, 5\)"),
        ({"shift": SHIFT[:, :4]}, r"C=5 as in x, got shape \(3, 4\)"),
        ({"shift": SHIFT[:, 0]}, r"got shape \(3,\)"),
        ({"shift": SHIFT > 0}, "shift must be floats or integers, got bool"),
        ({"shift": SHIFT.astype(complex)}, "floats or integers, got complex64"),
        ({"stride": (1, 0, 1)}, r"stride must be three .* from 1, got \(1, 0, 1\)"),
        ({"stride": (1, 1.5, 1)}, r"stride must be .*got \(1, 1.5, 1\)"),
        ({"stride": (1, 2)}, r"stride must be .*got \(1, 2\)"),
        ({"stride": 2}, "stride must be .*got 2"),
        ({"stride": (1, 1, float("nan"))}, "stride must be .*nan"),
        ({"stride": (1, 1, float("inf"))}, "stride must be .*inf"),
        ({"max_shift": (1, -1, 1)}, r"max_shift must be .* from 0, got \(1, -1, 1\)"),
        ({"max_shift": (1, 1, float("nan"))}, "max_shift must be .*nan"),
        ({"max_shift": (1, 1, float("inf"))}, "max_shift must be .*inf"),
        ({"max_shift": (1, 1)}, r"max_shift must be .*got \(1, 1\)"),
        ({"max_shift": 1.0}, "max_shift must be .*got 1.0"),
        ({"implementation": "cuda"}, "'xla', 'pallas_tpu', 'triton'.*got 'cuda'"),
        ({"x": X.astype(jnp.float16)}, "'xla' takes x of .*float32.*got float16"),
        ({"x": X.astype(jnp.int8)}, "'xla' takes x of .*got int8"),
    ],
)
def test_wrong_arguments(change, message):
    unchecked = inspect.unwrap(shift3d)  # as outside tests: no shape annotations
    with pytest.raises(ValueError, match=message):
        unchecked(**{"x": X, "shift": SHIFT} | change)


def test_tpu_kernel_needs_a_bound():
    with pytest.raises(NotImplementedError, match="'pallas_tpu' needs max_shift"):
        shift3d(X, SHIFT, implementation="pallas_tpu")


@pytest.mark.parametrize("name", ["pallas_tpu", "triton"])
def test_no_kernel_for_float64(name):
    with jax.enable_x64(True):
        x = jnp.zeros(X.shape, jnp.float64)
        with pytest.raises(ValueError, match=f"'{name}' takes x .* got float64"):
            shift3d(x, SHIFT, implementation=name)
