"""`shift3d_conv` over devices: the same results, and only its sums as collectives."""

import functools

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from kernels.interpolated import conv, conv_xla, shift3d_conv
from tests.kernels.interpolated.test_sharding import collectives
from tests.support.shift3d_conv_reference import (
    arguments,
    by_autodiff,
    check_close,
    gradients_of,
)

pytestmark = pytest.mark.slow

OPTIONS = {"max_shift": (1.0, 1.0, 1.0), "relu": True}
SHAPE, OUTPUTS = (8, 3, 3, 4, 6), 5


@pytest.fixture(params=[pytest.param("xla", marks=pytest.mark.slow), "kernel"])
def options(request, monkeypatch):
    """Of `shift3d_conv`; "kernel" goes the way of what XLA cannot split.

    Pallas' interpreter waits for ever on more devices than cores: inside is "xla".
    """
    name = {"kernel": "pallas_tpu"}.get(request.param, request.param)
    if request.param == "kernel":
        entry = conv.IMPLEMENTATIONS[name]
        assert not entry.splits
        entry = entry._replace(
            forward=conv_xla.forward, backward=conv_xla.backward, platforms=None
        )
        monkeypatch.setitem(conv.IMPLEMENTATIONS, name, entry)
    return OPTIONS | {"implementation": name}


def on_host(batch):
    return arguments((batch, *SHAPE[1:]), OUTPUTS, np.float32, OPTIONS)


def test_sharded_over_the_batch(devices, options):
    host = on_host(8)
    rows = NamedSharding(devices, PartitionSpec("data"))
    same = NamedSharding(devices, PartitionSpec())
    args = jax.device_put(host, (rows, *[same] * 4, rows))
    forward = jax.jit(
        lambda x, s, w, scale, bias: shift3d_conv(
            x, s, w, scale=scale, bias=bias, **options
        )
    )
    run = jax.jit(functools.partial(gradients_of, shift3d_conv, **options))
    with jax.set_mesh(devices):
        text = forward.lower(*args[:5]).compile().as_text()
        assert collectives(text) == []
        compiled = run.lower(*args).compile()
        found = collectives(compiled.as_text())
        assert found and {kind for kind, _ in found} == {"all-reduce"}
        # Of the shift, the weight (from which the scale's follows) and the bias.
        assert sum(n for _, n in found) <= sum(host[i].size for i in (1, 2, 4))
        actual = compiled(*args)
    for a, like in zip(actual[:2], (args[5], args[0]), strict=True):
        assert a.sharding.is_equivalent_to(like.sharding, a.ndim)
    check_close(actual, by_autodiff(*host, **OPTIONS), host)


def test_batch_that_does_not_divide(devices, options):
    host = on_host(3)
    run = jax.jit(functools.partial(gradients_of, shift3d_conv, **options))
    with jax.set_mesh(devices):
        actual = run(*host)
    check_close(actual, by_autodiff(*host, **OPTIONS), host)


@pytest.mark.parametrize("checked", [pytest.param(False, marks=pytest.mark.slow), True])
def test_inside_an_outer_shard_map(devices, options, checked):
    """Where devices share the weights; checked, JAX adds the sums over devices."""

    def part(x, shift, weight, scale, bias, dy):
        args = x, shift, weight, scale, bias, dy
        y, dx, *sums = gradients_of(shift3d_conv, *args, **options)
        if not checked:
            sums = [jax.lax.psum(s, "data") for s in sums]
        return y, dx, *sums

    rows, same = PartitionSpec("data"), PartitionSpec()
    over_devices = jax.shard_map(
        part,
        mesh=devices,
        in_specs=(rows, *[same] * 4, rows),
        out_specs=(rows, rows, *[same] * 4),
        check_vma=checked,
    )
    host = on_host(8)
    actual = jax.jit(over_devices)(*host)
    check_close(actual, by_autodiff(*host, **OPTIONS), host)
