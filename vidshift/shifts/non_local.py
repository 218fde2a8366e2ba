"""Non-local blocks: every place of a clip attends to places of all its frames."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.conv import FrameConv
from vidshift.layers.initializers import torch_bias, torch_default
from vidshift.layers.norm import BatchNorm
from vidshift.layers.pool import max_pool
from vidshift.layers.precision import wide_dtype
from vidshift.shifts.site import Scheme, Site, Unit

# (stage, block): those of ResNet-50 that the official TSM code names.
BLOCKS = ((1, 0), (1, 2), (2, 0), (2, 2), (2, 4))


def _conv(channels: int, out_channels: int, *, dtype, rngs: nnx.Rngs) -> FrameConv:
    """A 1x1 convolution with a bias; official weights are 1x1x1."""
    return FrameConv(
        channels,
        out_channels,
        (1, 1),
        (1, 1),
        padding=((0, 0), (0, 0)),
        kernel_init=torch_default,
        bias_init=torch_bias(channels),
        dtype=dtype,
        rngs=rngs,
    )


def attention(query: Frames, key: Frames, value: Frames) -> Frames:
    """`softmax(query key^T) value` over all places of all frames of a clip.

    The softmax is float32 or wider, and the products are not scaled by the channels' root ("embedded
    Gaussian").

    Args:
      query: `[H, W, N, C]`.
      key, value: features of the same frames, of other heights and widths.

    Returns:
      Features of query's places, of value's channels and type.
    """

    def places(x: Frames):  # [places of a frame, parts, frames, clips, C]
        height, width, rows, channels = x.data.shape
        clips = rows // (x.parts * x.frames)
        sizes = (height * width, x.parts, x.frames, clips, channels)
        return x.data.reshape(sizes)

    # p: parts, b: clips; queries are at place q of frame s, keys at place k of frame t.
    scores = jnp.einsum(
        "qpsbc,kptbc->pbqskt",
        places(query),
        places(key),
        preferred_element_type=wide_dtype(query.data.dtype),
    )
    weights = jax.nn.softmax(scores, (-2, -1)).astype(value.data.dtype)
    y = jnp.einsum("pbqskt,kptbc->qpsbc", weights, places(value))
    return query.like(y.reshape(*query.data.shape[:3], -1))


class NonLocal(nnx.Module):
    """`x + norm(conv(attention(theta(x), pool(phi(x)), pool(g(x)))))`.

    The embedded Gaussian block of Non-local Neural Networks (Wang et al., CVPR 2018), in
    the form of the official TSM code: half of the channels inside, biased convolutions,
    and keys and values from the largest of 2x2 places of a frame. The norm's scale starts
    at zero, so a new block changes nothing; frozen from the start it never would.

    Args:
      channels: of the features.
      dtype: compute type.
    """

    def __init__(self, channels: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        conv = partial(_conv, dtype=dtype, rngs=rngs)
        inner = channels // 2
        self.theta = conv(channels, inner)
        self.phi = conv(channels, inner)
        self.g = conv(channels, inner)
        norm = BatchNorm(channels, dtype=dtype)
        norm.scale.set_value(jnp.zeros(channels))
        self.out = Unit(conv(inner, channels), norm, None)

    def __call__(self, x: Frames) -> Frames:
        if min(x.data.shape[:2]) < 2:
            raise ValueError(
                "non_local needs features of 2x2 places, which it pools, got "
                f"{x.data.shape[0]}x{x.data.shape[1]}: the frames are too small"
            )
        keys, values = (max_pool(conv(x), 2, 2, 0) for conv in (self.phi, self.g))
        y = self.out(attention(self.theta(x), keys, values))
        return x.like(x.data + y.data)


@dataclasses.dataclass(kw_only=True)
class NonLocalBlocks(Scheme):
    """A non-local block after five residual blocks, `BLOCKS`, under any other scheme.

    The official code takes ResNet-50 alone. A network that lacks one of them has no place
    for it.

    Args:
      dtype, rngs: the network's.
    """

    dtype: jax.typing.DTypeLike
    rngs: nnx.Rngs

    def __post_init__(self):
        self.missing = {f"block {block} of stage {stage}" for stage, block in BLOCKS}

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        name = f"block {site.block} of stage {site.stage}"
        if site.residual and site.whole_block and name in self.missing:
            self.missing.discard(name)
            layer = NonLocal(site.kept_out, dtype=self.dtype, rngs=self.rngs)
            self.put(module, "after", layer)
        return module
