"""GST's convolutions: values of the public code, where they are, what they cost."""

import pathlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import (
    abstract,
    assert_learns,
    count,
    in_parts,
    random_clips,
)
from vidshift.nets.drawn import made_up_weight
from vidshift.nets.resnet import ResidualBlock, bottleneck_units
from vidshift.nets.units import conv_unit, placed
from vidshift.nets.weights import split
from vidshift.shifts import NoPlaceError, Site
from vidshift.shifts.grouped import GST, GroupedConv

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "gst_block.npz"


def block(beta: int) -> ResidualBlock:
    """A bottleneck of stride 2 from 16 channels to 32, 8 inside."""
    rngs = nnx.Rngs(0)
    unit = partial(conv_unit, rngs=rngs)
    site = partial(Site, 1, 0, 1, units=3)
    scheme = GST(alpha=4, beta=beta, dtype=jnp.float32, rngs=rngs)
    units = placed(scheme, site, bottleneck_units(16, 8, 2, unit))
    return ResidualBlock(units, unit(16, 32, 1, 2, activation=None))


def official(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Our array from the public code's, made up from its name there."""
    *module, leaf = name.split(".")
    if module[0] == "shortcut":
        prefix = f"downsample.{int(module[1] == 'norm')}."
    elif module[-1] == "temporal":
        prefix = "Tconv."
    else:
        layer = {"conv": "conv", "norm": "bn"}[module[2]]
        prefix = f"{layer}{int(module[1]) + 1}."
    if leaf != "kernel":
        leaves = {"scale": "weight", "mean": "running_mean", "var": "running_var"}
        return made_up_weight(prefix + leaves.get(leaf, leaf), shape)
    time = shape[:-4] or (1,)
    theirs = (shape[-1], shape[-2], *time, *shape[-4:-2])
    kernel = made_up_weight(f"{prefix}weight", theirs).transpose(2, 3, 4, 1, 0)
    return kernel.reshape(shape)


@pytest.mark.parametrize(("beta", "parts"), [(1, 1), (2, 1), (2, 2)])
def test_values_are_those_of_the_public_code(beta, parts):
    skeleton, params, stats = split(nnx.eval_shape(lambda: block(beta)))
    params, stats = (
        {name: official(name, a.shape) for name, a in arrays.items()}
        for arrays in (params, stats)
    )
    x = np.random.default_rng(beta).standard_normal((2, 16, 3, 5, 6))
    clips = jnp.asarray(x.transpose(0, 2, 3, 4, 1), jnp.float32)
    module = skeleton.merge(params, stats)
    y = jax.jit(lambda clips: module(in_parts(clips, parts)).clips())(clips)
    with np.load(GOLDEN) as arrays:
        np.testing.assert_allclose(
            y[..., ::4], arrays[f"beta{beta}"], rtol=1e-4, atol=1e-5
        )


def test_everything_learns():
    module = nnx.view(block(2), use_running_average=False)
    clips = random_clips(4, 3, 4, 4, 16)
    assert_learns(module, lambda module: module(in_parts(clips, 2)).data)


def test_every_bottleneck_and_what_gsf_prints():
    """GSF's Table 8 prints 21 M for it."""
    model = abstract("resnet50", "gst", num_classes=174)
    found = {p[1:3] for p, m in nnx.iter_modules(model) if isinstance(m, GroupedConv)}
    assert found == {(s, b) for s, n in enumerate((3, 4, 6, 3)) for b in range(n)}
    assert count(model) == 21_035_246
    kernels = model.stages[0][0].units[1].conv
    assert kernels.kernel.shape == (3, 3, 32, 48)
    assert kernels.temporal.kernel.shape == (3, 3, 3, 32, 16)


@pytest.mark.parametrize(
    ("backbone", "options", "message"),
    [
        ("resnet50", {"alpha": 1}, "alpha must be a whole number from 2, got 1"),
        ("resnet50", {"beta": 3}, r"beta must be one of \(1, 2\), got 3"),
        ("resnet50", {"alpha": 5}, "alpha=5, beta=2 do not divide the 64 and 64"),
        ("resnet50", {"width": 0.5}, "width=0.5: gst's groups"),
        ("resnet50", {"causal": True}, "resnet50 with gst has no option causal"),
    ],
)
def test_refusals(backbone, options, message):
    with pytest.raises(ValueError, match=message):
        abstract(backbone, "gst", **options)


def test_a_basic_block_has_no_place():
    with pytest.raises(NoPlaceError, match="resnet18 has no place for gst"):
        abstract("resnet18", "gst")
