"""MotionSqueeze: how far each place has moved by the next frame, added to the features."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float

from vidshift.kernels import Frames
from vidshift.layers.conv import FrameConv
from vidshift.layers.initializers import he_fan_out
from vidshift.layers.norm import BatchNorm
from vidshift.layers.precision import wide, wide_dtype
from vidshift.shifts.site import Scheme, Site, Unit

# Sizes of the official code: places that a pixel is looked for in, a side; channels that
# are compared; standard deviation of the window around the best match, in places; factor
# of similarities before the softmax.
PATCH = 15
COMPARED = 64
SIGMA = 5.0
TEMPERATURE = 100.0
# Channels between the layers that make features of motion: (in, out, side).
REFINED = ((3, 16, 7), (16, 32, 3), (32, 64, 3))


def _unit(cin: int, cout: int, side: int = 1, *, groups=1, dtype, rngs) -> Unit:
    """A convolution that keeps a frame's size, batch norm, ReLU."""
    conv = FrameConv(
        cin,
        cout,
        (side, side),
        (1, 1),
        padding=((side // 2, side // 2),) * 2,
        feature_group_count=groups,
        use_bias=False,
        kernel_init=he_fan_out,
        dtype=dtype,
        rngs=rngs,
    )
    return Unit(conv, BatchNorm(cout, dtype=dtype))


def correlation(
    x: Float[Array, "H W N C"], y: Float[Array, "H W N C"], patch: int = PATCH
) -> Float[Array, "H N W P P"]:
    """Products over channels of each place of x with the places around it in y, float32.

    `result[h, n, w, i, j]` is of x's (h, w) and y's (h + i - P // 2, w + j - P // 2);
    outside the frame y is zero. Whole rows are multiplied, so nothing of x's or y's size
    is kept for each of the places.
    """
    height, width = x.shape[:2]
    around = patch // 2
    y = jnp.pad(y, ((around, around), (0, 0), (0, 0), (0, 0)))
    bands = []
    for i in range(patch):
        rows = jnp.einsum(
            "hwnc,hvnc->hnwv",
            x,
            y[i : i + height],
            preferred_element_type=wide_dtype(x.dtype),
        )
        # From [w, v] to [w, v - w]: rows of one more are what lies one further.
        rows = jnp.pad(rows, ((0, 0), (0, 0), (0, 0), (around, around)))
        rows = rows.reshape(*rows.shape[:2], -1)
        rows = jnp.pad(rows, ((0, 0), (0, 0), (0, width)))
        bands.append(rows.reshape(*rows.shape[:2], width, -1)[..., :patch])
    return jnp.stack(bands, -2)


def displacement(match: Float[Array, "H N W P P"]) -> Float[Array, "H N W 3"]:
    """Returns (right, down, similarity) of the best match of each place.

    The first two are the mean over a softmax of similarities around the largest one, in
    [-1, 1], where 1 is the patch's edge (soft-argmax with a Gaussian window).
    """
    patch = match.shape[-1]
    flat = match.reshape(*match.shape[:-2], -1)
    largest = flat.max(-1)
    # The first of the largest, in numbers that exported files have operations for.
    number = jnp.arange(patch**2, dtype=jnp.float32).reshape(1, 1, 1, -1)
    best = jnp.where(flat == largest[..., None], number, patch**2).min(-1)
    best = best[..., None, None]
    row = jnp.floor((best + 0.5) / patch)
    at = jnp.arange(patch, dtype=jnp.float32).reshape(1, 1, 1, patch)
    away = (at[..., None] - row) ** 2 + (at[..., None, :] - (best - patch * row)) ** 2
    window = jnp.exp(-away / (2 * SIGMA**2))
    weights = jax.nn.softmax(TEMPERATURE * window * match, (-2, -1))
    steps = jnp.linspace(-1.0, 1.0, patch).reshape(1, 1, 1, patch)
    right = (weights.sum(-2) * steps).sum(-1)
    down = (weights.sum(-1) * steps).sum(-1)
    return jnp.stack([right, down, largest], -1)


def _unit_length(x: jax.Array) -> jax.Array:
    x = wide(x)
    return x * jax.lax.rsqrt((x**2).sum(-1, keepdims=True) + 1e-6)


class MotionSqueeze(nnx.Module):
    """`x + refine(displacement(correlation(x[t], x[t + 1])))` (Kwon et al., ECCV 2020).

    In the form of the official code: features are reduced to 64 channels, 15 x 15 places
    around each are compared with the next frame's, and separable convolutions make
    features of displacement and similarity. The last frame has those of the frame before.

    Args:
      channels: of the features.
      dtype: compute type; similarities and displacements are float32.
    """

    def __init__(self, channels: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        unit = partial(_unit, dtype=dtype, rngs=rngs)
        self.reduce = unit(channels, COMPARED)
        self.refine = nnx.List()
        for cin, cout, side in (*REFINED, (REFINED[-1][1], channels, 3)):
            self.refine.append(unit(cin, cin, side, groups=cin))
            self.refine.append(unit(cin, cout))
        self.dtype = dtype

    def __call__(self, x: Frames) -> Frames:
        """Adds features of motion.

        Raises:
          ValueError: a clip of one frame.
        """
        x.check()
        if x.frames < 2:
            raise ValueError(
                "motion_squeeze compares a frame with the next one: it needs 2 frames or "
                f"more, got {x.frames}"
            )
        motion = x.like(self._motion(x).astype(self.dtype))
        for unit in self.refine:
            motion = unit(motion)
        return x.like(x.data + motion.data)

    def _motion(self, x: Frames) -> jax.Array:
        data = _unit_length(self.reduce(x).data).astype(self.dtype)
        height, width, rows, channels = data.shape
        split = (x.parts, x.frames, rows // (x.parts * x.frames))
        data = data.reshape(height, width, *split, channels)
        now, after = (
            part.reshape(height, width, -1, channels)
            for part in (data[:, :, :, :-1], data[:, :, :, 1:])
        )
        motion = displacement(nnx.relu(correlation(now, after))).swapaxes(1, 2)
        motion = motion.reshape(height, width, x.parts, x.frames - 1, split[2], 3)
        motion = jnp.concatenate([motion, motion[:, :, :, -1:]], 3)
        return motion.reshape(height, width, rows, 3)


@dataclasses.dataclass(kw_only=True)
class MotionSqueezing(Scheme):
    """A MotionSqueeze module after the last residual block of stage 1, under any scheme.

    That is ResNet's `layer2`, the module's place in its paper and code. GSF's Table 8 has
    it on a GSF network, whose code is not released.

    Args:
      dtype, rngs: the network's.
    """

    dtype: DTypeLike
    rngs: nnx.Rngs

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        here = site.residual and site.whole_block and site.last_block
        if here and site.stage == 1:
            layer = MotionSqueeze(site.kept_out, dtype=self.dtype, rngs=self.rngs)
            self.put(module, "after", layer)
        return module
