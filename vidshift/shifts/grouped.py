"""GST, whose 3x3 convolutions see space with most channels and time with the others."""

import dataclasses

import jax.numpy as jnp
from flax import nnx
from jaxtyping import DTypeLike

from vidshift.kernels import Frames
from vidshift.layers.conv import FrameConv, Window, convolve
from vidshift.layers.initializers import he_fan_out
from vidshift.layers.time_conv import TimeConv
from vidshift.shifts.options import check_choice, check_whole
from vidshift.shifts.site import Scheme, Site, Unit

TAPS = 3  # frames


class GroupedConv(nnx.Module):
    """A convolution of each frame beside one over time; their channels are joined.

    Args:
      conv: the 3x3 convolution of every frame that it replaces.
      alpha: one of so many output channels is of the convolution over time, the last.
      beta: 2 gives each its half of the input channels, the first one to space; 1 gives
        both all of them.
    """

    def __init__(
        self,
        conv: FrameConv,
        alpha: int,
        beta: int,
        *,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        channels = conv.in_features // beta
        over_time = conv.out_features // alpha
        of_space = conv.out_features - over_time
        # The name of the kernel that it replaces; an image network's leading channels fit.
        shape = (*conv.kernel_size, channels, of_space)
        self.kernel = nnx.Param(he_fan_out(rngs.params(), shape, jnp.float32))
        self.window = Window(tuple(conv.strides), tuple(conv.padding), 1)
        self.temporal = TimeConv(
            channels,
            over_time,
            (TAPS, *conv.kernel_size),
            (1, *conv.strides),
            padding=((TAPS // 2, TAPS // 2), *conv.padding),
            use_bias=False,
            kernel_init=he_fan_out,
            dtype=dtype,
            rngs=rngs,
        )
        self.channels = channels
        self.dtype = dtype

    def __call__(self, x: Frames) -> Frames:
        data = x.data.astype(self.dtype)
        first, last = data[..., : self.channels], data[..., -self.channels :]
        space = convolve(first, self.kernel[...], self.window, parts=x.parts)
        time = self.temporal(x.like(last)).data
        return x.like(jnp.concatenate([space, time], -1))


@dataclasses.dataclass(kw_only=True)
class GST(Scheme):
    """Grouped spatial-temporal aggregation (Luo and Yuille, ICCV 2019).

    In every bottleneck the 3x3 convolution becomes a 3x3 one and a 3x3x3 one side by
    side (`GroupedConv`), in the form of the public code: it is of no basic block.

    Args:
      alpha: one of so many output channels is of the convolution over time.
      beta: parts of the input channels, 1 or 2.
      dtype, rngs: the network's.

    Raises:
      ValueError: an alpha below 2, or another beta.
    """

    alpha: int = 4
    beta: int = 2
    dtype: DTypeLike
    rngs: nnx.Rngs

    def __post_init__(self):
        check_whole("alpha", self.alpha, 2)
        check_choice("beta", self.beta, (1, 2))

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        middle = site.residual and site.units == 3 and site.unit == 1
        conv = getattr(module, "conv", None)
        if not (middle and isinstance(module, Unit) and type(conv) is FrameConv):
            return module
        if conv.feature_group_count > 1 or tuple(conv.kernel_size) != (3, 3):
            return module
        if site.in_channels % self.beta or site.out_channels % self.alpha:
            raise ValueError(
                f"alpha={self.alpha}, beta={self.beta} do not divide the "
                f"{site.out_channels} and {site.in_channels} channels of stage "
                f"{site.stage}"
            )
        if site.width != 1:
            raise ValueError(
                f"width={site.width}: gst's groups of channels are no leading slices of "
                "the full network's"
            )
        module.conv = self.filled(
            GroupedConv(conv, self.alpha, self.beta, dtype=self.dtype, rngs=self.rngs)
        )
        return module
