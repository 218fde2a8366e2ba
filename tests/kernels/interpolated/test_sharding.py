"""`shift3d` over devices: the same results, and no collective but the sum of dshift."""

import contextlib
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from kernels import shift3d
from kernels.interpolated import op, xla
from tests.kernels.temporal.test_shift import COLLECTIVES
from tests.support.shift3d_reference import (
    BOUND,
    PROGRAMS,
    SHAPE,
    STRIDE,
    close_sums,
    close_values,
    normals,
    on_cpu,
    out_shape,
    program,
    random_shift,
    value_and_gradients,
)


@pytest.fixture(
    params=["xla", pytest.param("xla_bounded", marks=pytest.mark.slow), "kernel"]
)
def options(request, monkeypatch):
    """Of `shift3d`; "kernel" goes the way of what XLA cannot split.

    Pallas' interpreter waits for ever on more devices than cores: inside is "xla".
    """
    implementation, max_shift = PROGRAMS[request.param.replace("kernel", "pallas_tpu")]
    if request.param == "kernel":
        entry = op.IMPLEMENTATIONS[implementation]
        assert not entry.splits
        entry = entry._replace(
            forward=xla.forward, backward=xla.backward, platforms=None
        )
        monkeypatch.setitem(op.IMPLEMENTATIONS, implementation, entry)
    return {"max_shift": max_shift, "implementation": implementation}


def collectives(text: str) -> list[tuple[str, int]]:
    """(Kind, number of values in its results) of a compiled program's collectives."""
    found = []
    for line in text.splitlines():
        kind = re.search(rf" ({'|'.join(COLLECTIVES)})(-start)?\(", line)
        if kind:
            types = line[: kind.start()].split(" = ")[1]
            sizes = [
                np.prod([int(n) for n in dims.split(",") if n], initial=1)
                for dims in re.findall(r"\w+\[([\d,]*)\]", types)
            ]
            found.append((kind[1], int(sum(sizes))))
    return found


def check_collectives(options, args) -> None:
    forward = functools.partial(shift3d, stride=STRIDE, **options)
    gradients = functools.partial(value_and_gradients, **options)
    text = jax.jit(forward).lower(*args[:2]).compile().as_text()
    assert collectives(text) == []
    found = collectives(jax.jit(gradients).lower(*args).compile().as_text())
    assert found and {kind for kind, _ in found} == {"all-reduce"}
    assert sum(size for _, size in found) <= args[1].size


def spread_batch(devices, batch: int = 8):
    """x, shift, dy on the host and over the devices."""
    shape = (batch, *SHAPE[1:])
    host = normals(shape), random_shift(BOUND, 6), normals(out_shape(shape), 1)
    rows = NamedSharding(devices, PartitionSpec("data"))
    same = NamedSharding(devices, PartitionSpec())
    return host, jax.device_put(host, (rows, same, rows))


def check_equal(actual, host) -> None:
    y, dx, dshift = program("xla", None)(*host)
    close_values(actual[0], np.asarray(y))
    close_values(actual[1], np.asarray(dx))
    close_sums(actual[2], np.asarray(dshift), host[2])


@pytest.mark.quick("kernel-*")
@pytest.mark.parametrize("in_mesh", [False, True])
def test_sharded_over_the_batch(devices, options, in_mesh):
    host, args = spread_batch(devices)
    mesh = jax.set_mesh(devices) if in_mesh else contextlib.nullcontext()
    with mesh:
        check_collectives(options, args)
        actual = jax.jit(functools.partial(value_and_gradients, **options))(*args)
    for a, like in zip(actual[:2], (args[2], args[0]), strict=True):
        assert a.sharding.is_equivalent_to(like.sharding, a.ndim)
    check_equal(actual, host)


@pytest.mark.slow
def test_no_collectives_around_the_tpu_kernel(devices):
    """Compiled only; in the mesh, as the train step is."""
    with on_cpu("pallas_tpu"), jax.set_mesh(devices):
        options = {"max_shift": BOUND, "implementation": "pallas_tpu"}
        check_collectives(options, spread_batch(devices)[1])


def test_the_check_for_collectives_finds_some(devices):
    """Over time there must be some."""
    frames = NamedSharding(devices, PartitionSpec(None, "data"))
    x = jax.ShapeDtypeStruct((1, 8, 3, 4, 6), jnp.float32, sharding=frames)
    f = jax.jit(functools.partial(shift3d, max_shift=BOUND), out_shardings=frames)
    text = f.lower(x, jnp.zeros((3, 6))).compile().as_text()
    assert sum(size for _, size in collectives(text)) > 18


def test_batch_that_does_not_divide(devices, options):
    host = normals(SHAPE), random_shift(BOUND, 6), normals(out_shape(SHAPE), 1)
    with jax.set_mesh(devices):
        actual = jax.jit(functools.partial(value_and_gradients, **options))(*host)
    check_equal(actual, host)


@pytest.mark.quick("kernel")
def test_inside_an_outer_shard_map(devices, options):
    def part(x, shift, dy):
        y, dx, dshift = value_and_gradients(x, shift, dy, **options)
        return y, dx, jax.lax.psum(dshift, "data")

    rows, same = PartitionSpec("data"), PartitionSpec()
    over_devices = jax.shard_map(
        part,
        mesh=devices,
        in_specs=(rows, same, rows),
        out_specs=(rows, rows, same),
        check_vma=False,
    )
    # 8 clips a device: they must not be split once more.
    host, args = spread_batch(devices, 64)
    check_equal(jax.jit(over_devices)(*args), host)
