"""The operations over devices: the same results, and only their sums as collectives."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from tests.support.collectives import collectives
from tests.support.operations import CALLS
from vidshift.kernels import shift3d
from vidshift.kernels.dispatch import forced

ROWS, SAME = PartitionSpec("data"), PartitionSpec()


@pytest.fixture(params=[pytest.param("xla", marks=pytest.mark.slow), "kernel"])
def split(request):
    """True where the dispatch splits the batch, around a kernel, and not XLA.

    Pallas' interpreter waits for ever on more devices than cores: the reference stands in.
    """
    kernel = request.param == "kernel"
    with forced("pallas_tpu", stand_in=True) if kernel else contextlib.nullcontext():
        yield kernel


@functools.cache
def alone(name: str, batch: int):
    """The results on one device."""
    call = CALLS[name]
    return jax.jit(call.with_gradients(implementation="xla"))(*call.arrays(batch))


def check_equal(actual, name: str, batch: int) -> None:
    wanted = alone(name, batch)
    for got, want in zip(actual, wanted, strict=True):
        assert np.any(want)
        atol = 1e-5 * np.abs(want).max()
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", CALLS)
def test_split_over_the_batch(devices, split, name):
    call = CALLS[name]
    host = call.arrays()
    specs = [ROWS, *[SAME] * len(call.shared), ROWS]
    arrays = [
        jax.device_put(a, NamedSharding(devices, s))
        for a, s in zip(host, specs, strict=True)
    ]
    forward = jax.jit(call.function).lower(*arrays[:-1]).compile()
    assert collectives(forward.as_text()) == []
    lowered = jax.jit(call.with_gradients()).lower(*arrays)
    # Of `Frames` every device has its own part, whatever runs.
    by_dispatch = split or name.endswith("frames")
    parts = lowered.as_text().count("sdy.manual_computation")
    assert parts == by_dispatch * len(call.operation.pieces)
    program = lowered.compile()
    exchanged = collectives(program.as_text())
    assert {kind for kind, _ in exchanged} <= {"all-reduce"}
    assert bool(exchanged) == bool(call.shared)
    # The scale's gradient follows from the weight's.
    assert sum(size for _, size in exchanged) <= sum(a.size for a in host[1:-1])
    actual = program(*arrays)
    for result, like in zip(actual[:2], (arrays[-1], arrays[0]), strict=True):
        assert result.sharding.is_equivalent_to(like.sharding, result.ndim)
    check_equal(actual, name, 8)


def test_the_check_for_collectives_finds_some(devices):
    """Over time there must be some."""
    frames = NamedSharding(devices, PartitionSpec(None, "data"))
    x = jax.ShapeDtypeStruct((1, 8, 3, 4, 6), jnp.float32, sharding=frames)
    f = jax.jit(functools.partial(shift3d, max_shift=(1, 1, 1)), out_shardings=frames)
    text = f.lower(x, jnp.zeros((3, 6))).compile().as_text()
    assert sum(size for _, size in collectives(text)) > 18


# Of the operations that are split, and of `Frames`, those with the most arrays.
LARGEST = ("shift3d_conv", "temporal_shift_conv", "temporal_shift_conv_frames")


@pytest.mark.parametrize("name", LARGEST)
def test_batch_that_does_not_divide(devices, split, name):
    call = CALLS[name]
    arrays = call.arrays(3)
    with jax.set_mesh(devices):
        actual = jax.jit(call.with_gradients())(*arrays)
    check_equal(actual, name, 3)


@pytest.mark.parametrize("name", LARGEST)
def test_inside_a_shard_map(devices, split, name):
    """Where devices share arrays, JAX adds the sums over devices.

    Two clips a device: they must not be split once more.
    """
    call = CALLS[name]
    specs = [ROWS, *[SAME] * len(call.shared)]
    mapped = jax.shard_map(
        call.with_gradients(),
        mesh=devices,
        in_specs=(*specs, ROWS),
        out_specs=(ROWS, *specs),
        check_vma=True,
    )
    arrays = call.arrays(16)
    check_equal(jax.jit(mapped)(*arrays), name, 16)


@pytest.mark.slow
def test_derivatives_of_the_gradient(devices):
    call = CALLS["temporal_shift_conv_frames"]
    x, shared, *others, _ = call.arrays()
    split_x = jax.device_put(x, NamedSharding(devices, ROWS))

    def squared(shared, x):
        def loss(shared):
            return (call.function(x, shared, *others) ** 3).sum()

        return (jax.grad(loss)(shared) ** 2).sum()

    gradient = jax.grad(squared)
    wanted = gradient(shared, x)
    atol = 1e-5 * np.abs(wanted).max()
    got = jax.jit(gradient)(shared, split_x)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=atol)
    got = gradient(shared, split_x)  # outside of a program too
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=atol)
