"""Folded batch norms: against the norm itself, their gradients, and what a GPU compiles."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.absent_chips import check_for
from tests.support.networks import abstract, random_clips, random_network, tiny
from vidshift import create, folded
from vidshift.kernels import Frames
from vidshift.layers.conv import FrameConv
from vidshift.layers.folded import ChannelBias, folded_layers
from vidshift.layers.norm import BatchNorm
from vidshift.layers.time_conv import TimeConv
from vidshift.nets.units import conv_unit
from vidshift.nets.weights import named_arrays, split
from vidshift.shifts import Unit

# Kernel, stride, options of a unit from 6 to 8 channels.
UNITS = {
    "1x1": (1, 1, {}),
    "3x3": (3, 2, {"use_bias": True}),
    "grouped": (3, 1, {"groups": 2}),
    "time": ((3, 1, 1), 1, {"use_bias": True}),
    "time, strided, grouped": ((3, 3, 3), (1, 2, 1), {"groups": 2}),
}


def unit_of(name: str) -> Unit:
    kernel, stride, options = UNITS[name]
    return random_network(
        lambda: conv_unit(6, 8, kernel, stride, rngs=nnx.Rngs(0), **options)
    )


def close(ours, theirs, terms: int) -> None:
    """Equal up to float32's rounding of sums of so many terms of about 1."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=4e-7 * terms**0.5)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_its_norm_of_its_convolution(name, platform):
    unit = unit_of(name)
    x = Frames.of(random_clips(2, 4, 5, 4, 6))
    assert isinstance(unit.conv, TimeConv if "time" in name else FrameConv)
    expected = nnx.relu(unit.norm(unit.conv(x)).data)
    terms = np.prod(unit.conv.kernel.shape[:-1])
    close(jax.jit(lambda x: unit(x).data)(x), expected, terms)
    close(folded(unit, platform=platform)(x).data, expected, terms)


def test_a_linear_layer_folds():
    layer = random_network(lambda: nnx.Linear(6, 8, rngs=nnx.Rngs(0)))
    norm = random_network(lambda: BatchNorm(8))
    x = random_clips(2, 4, 5, 4, 6)
    linear, bias = folded_layers(layer, norm)
    assert isinstance(bias, ChannelBias)
    close(bias(linear(x)), norm(layer(x)), terms=6)


def test_a_layer_without_norm_is_cast():
    layer = nnx.eval_shape(
        lambda: nnx.Linear(6, 8, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    )
    assert folded(layer).kernel.dtype == jnp.bfloat16
    assert layer.kernel.dtype == jnp.float32


@pytest.mark.parametrize("name", ["3x3", "time"])
def test_gradients_under_a_frozen_norm(name):
    unit = unit_of(name)
    unit.norm.frozen = True
    skeleton, params, stats = split(nnx.view(unit, use_running_average=False))
    x = Frames.of(random_clips(2, 4, 5, 4, 6))

    def loss(params, x, *, norm_of):
        return (norm_of(skeleton.merge(params, stats), x).data ** 2).mean()

    ours, theirs = (
        jax.jit(jax.grad(partial(loss, norm_of=norm_of), (0, 1)))(params, x)
        for norm_of in (
            lambda unit, x: unit(x),
            lambda unit, x: x.like(nnx.relu(unit.norm(unit.conv(x)).data)),
        )
    )
    for ours_of, theirs_of in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        close(ours_of, theirs_of, terms=60)
    assert np.abs(ours[0]["conv.kernel"]).max() > 0.01
    assert not ours[0]["norm.scale"].any() and not ours[0]["norm.bias"].any()


def test_batch_statistics_do_not_fold():
    unit = nnx.view(unit_of("1x1"), use_running_average=False)
    assert folded_layers(unit.conv, unit.norm) == (unit.conv, unit.norm)


def norms_left(model: nnx.Module) -> list[str]:
    modules = nnx.iter_modules(model)
    return [".".join(map(str, p)) for p, m in modules if isinstance(m, BatchNorm)]


@pytest.mark.slow(but=("resnet_tiny-*",))
@pytest.mark.parametrize(
    ("backbone", "temporal", "left"),
    [
        ("resnet_tiny", "tsm", 0),
        ("resnet_tiny", "gsf", 3 * 2),  # a gate's, and the one after each gate
        ("mobilenet_v2", "tsm", 0),
        ("bn_inception", "tsm", 0),
        ("slowfast_8x8_r50", "tsn", 0),
        ("resnet50", "gsf", 16 * 2),
        ("rubiksnet_tiny", "tsn", 17 + 1),  # a block's first, and the head's
    ],
)
def test_norms_that_stay(backbone, temporal, left):
    frames = {"num_frames": 32} if backbone.startswith("slowfast") else {}
    assert len(norms_left(folded(abstract(backbone, temporal, **frames)))) == left


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_folded_network(platform):
    model = tiny("tsm", dtype=jnp.bfloat16)
    before = named_arrays(model)
    network = folded(model, platform=platform)
    kernels = {k: a for k, a in named_arrays(network).items() if k.endswith("kernel")}
    assert {a.dtype for k, a in kernels.items() if "conv" in k} == {
        jnp.dtype("bfloat16")
    }
    # The network given is the caller's.
    jax.tree.map(np.testing.assert_array_equal, named_arrays(model), before)
    clips = random_clips(2, 4, 32, 32, 3)
    if platform == "gpu":
        # A CPU never gets a GPU's kernels. XLA of jax 0.12 makes nan of them there in
        # bfloat16, in the mean over places if that is compiled with the rest.
        model = tiny("tsm")
        network = folded(model, platform=platform)
    run = jax.jit(lambda model, clips: model(clips))
    # On a CPU, XLA leaves out the rounding of weights that it multiplies in float32.
    theirs = run(model, clips)
    np.testing.assert_allclose(run(network, clips), theirs, rtol=0, atol=0.01)


@pytest.mark.slow
def test_a_folded_rubiksnet():
    model = random_network(
        lambda: create("rubiksnet_micro", num_classes=4, num_frames=4)
    )
    clips = random_clips(2, 4, 32, 32, 3)
    run = jax.jit(lambda model, clips: model(clips))
    close(run(folded(model), clips), run(model, clips), terms=100)


FUSES = """
import re
from flax import nnx
from vidshift import create, folded
from vidshift.nets.weights import split
for backbone, temporal, fused, with_relu in (
    ("resnet18", "tsn", 20, 17), ("resnet50", "tsm", 37, 33)
):
    model = nnx.eval_shape(lambda: create(
        backbone, temporal, num_classes=4, num_frames=8, dtype=jnp.bfloat16))
    for network, folded_before in ((model, False), (folded(model, platform="gpu"), True)):
        skeleton, *weights = split(network)
        weights = jax.tree.map(lambda a: array(*a.shape, dtype=a.dtype), weights)
        text = compiled(
            jax.jit(lambda weights, clips: skeleton.merge(*weights)(clips)),
            weights,
            array(2, 8, 128, 128, 3, dtype="bfloat16"),
        ).as_text()
        found = re.findall(r'custom_call_target="(__cudnn[^"]*)"', text)
        assert found == ["__cudnn$convBiasActivationForward"] * fused, found
        assert text.count('"activation_mode":"kRelu"') == with_relu
        if folded_before:
            # The clips' transpose, max pooling, and four of the head.
            entry = text[text.index("ENTRY") :]
            assert entry.count(" fusion(") <= 6, entry
"""


@pytest.mark.slow
def test_a_gpu_fuses_every_convolution():
    """Each writes what the next one reads: bias, ReLU, and a block's sum included.

    16 of the 53 in TSM's ResNet-50 are kernels of ours; shortcuts have no ReLU.
    """
    check_for("h100", FUSES)
