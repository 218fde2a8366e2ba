"""`shift3d` under what JAX does to functions: whatever runs, it is the same function."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tests.support.shift3d_reference import close_sums, close_values, normals
from vidshift.kernels import shift3d

ONE = (1.0, 1.0, 1.0)
SHAPE = (8, 2, 3, 4, 5)


@pytest.fixture(params=[None, ONE], ids=["unbounded", "bounded"])
def f(request):
    return functools.partial(shift3d, max_shift=request.param)


@pytest.fixture
def x():
    return jnp.asarray(normals(SHAPE))


@pytest.fixture
def shift():
    return jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (3, 5)), jnp.float32)


def sum_of_squares(f):
    return lambda x, shift: jnp.sum(f(x, shift) ** 2)


@pytest.mark.slow(but=("bounded",))
def test_mapped_over_clips_and_shifts(f, x, shift):
    shifts = jnp.stack([shift, -shift, 0 * shift])
    one = jax.jit(f)
    each = [one(x[i : i + 1], s) for i, s in enumerate(shifts)]
    close_values(jax.jit(jax.vmap(f))(x[:3, None], shifts), np.stack(each))
    gradient = jax.jit(jax.grad(sum_of_squares(f), argnums=1))
    mapped = jax.jit(jax.vmap(gradient, (None, 0)))(x, shifts)
    close_sums(mapped, np.stack([gradient(x, s) for s in shifts]), x)


AUTO, EXPLICIT = AxisType.Auto, AxisType.Explicit


@pytest.mark.parametrize(
    ("max_shift", "split", "kind", "axes"),
    [
        (ONE, False, AUTO, ("data",)),
        (ONE, True, EXPLICIT, ("data",)),
        (None, True, AUTO, ("clips",)),
        pytest.param(ONE, False, AUTO, ("data", "model"), marks=pytest.mark.slow),
        pytest.param(None, True, EXPLICIT, ("data", "model"), marks=pytest.mark.slow),
        pytest.param(None, False, EXPLICIT, ("clips",), marks=pytest.mark.slow),
    ],
)
def test_on_a_mesh(x, shift, max_shift, split, kind, axes):
    f = functools.partial(shift3d, max_shift=max_shift)
    mesh = jax.make_mesh((8, 1)[: len(axes)], axes, (kind,) * len(axes))
    spec = PartitionSpec(axes[0] if split else None)
    gradient = jax.jit(jax.grad(sum_of_squares(f), argnums=(0, 1)))
    dx, dshift = gradient(
        jax.device_put(x, NamedSharding(mesh, spec)),
        jax.device_put(shift, NamedSharding(mesh, PartitionSpec())),
    )
    expected = gradient(x, shift)
    close_values(dx, np.asarray(expected[0]))
    close_sums(dshift, np.asarray(expected[1]), x)


@pytest.mark.slow(but=("unbounded",))
def test_exported_for_several_platforms(f, x, shift):
    (batch,) = jax.export.symbolic_shape("b")
    features = jax.ShapeDtypeStruct((batch, *SHAPE[1:]), jnp.float32)
    for platforms, clips in ((["cpu", "tpu"], x), (["cpu", "rocm"], features)):
        made = jax.export.export(jax.jit(f), platforms=platforms)(clips, shift)
        close_values(made.call(x, shift), np.asarray(f(x, shift)))


@pytest.mark.slow(but=("bounded",))
def test_second_derivatives_are_those_of_plain_jax(f, x, shift):
    def second(**options):
        g = functools.partial(f, **options)
        return jax.jit(jax.jacrev(jax.grad(sum_of_squares(g), argnums=1), argnums=1))

    found = second()(x, shift)
    assert found.shape == (3, 5, 3, 5) and np.any(found)
    # A sum of squares is quadratic in a shift off the lattice: this difference is exact.
    gradient = jax.jit(jax.grad(sum_of_squares(f), argnums=1))
    step = jnp.zeros((3, 5)).at[2, 1].set(2.0**-6)
    difference = gradient(x, shift + step) - gradient(x, shift - step)
    np.testing.assert_allclose(found[2, 1, 2, 1], difference[2, 1] * 2.0**5, rtol=1e-3)


def test_a_bound_wider_than_the_clip_is_none(x, shift):
    shift = 3 * shift
    of = jax.jit(functools.partial(shift3d, max_shift=(1000, 1000, 1000)))
    close_values(of(x, shift), np.asarray(shift3d(x, shift)))
    # A slice for each place of the window would be a longer text.
    wide, x = jnp.zeros((1, 2, 60, 60, 5)), of.lower(x, shift)
    assert len(of.lower(wide, shift).as_text()) < 1.2 * len(x.as_text())


def test_lists_are_arrays(x):
    y = inspect.unwrap(shift3d)(x, [[0.5] * 5] * 3)
    np.testing.assert_array_equal(y, shift3d(x, jnp.full((3, 5), 0.5)))


@pytest.mark.filterwarnings("error")  # of a float64 that is cut to float32 in passing
def test_64_bits_are_the_programs_own_affair(f, x, shift):
    """A float64 shift may move float32 features, and gets its gradient in float64."""
    with jax.enable_x64(True):
        wide = shift.astype(jnp.float64)
        for platform in ("cpu", "tpu"):
            program = jax.jit(jax.grad(sum_of_squares(f), argnums=1))
            lowered = program.trace(x, wide).lower(lowering_platforms=(platform,))
            assert lowered.out_info.dtype == jnp.float64
