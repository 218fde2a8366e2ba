"""I3D's convolutions over time, as TSM's paper sets them beside its shift."""

import dataclasses

import jax
from flax import nnx

from vidshift.layers.conv import FrameConv
from vidshift.layers.initializers import he_fan_out
from vidshift.layers.time_conv import TimeConv
from vidshift.shifts.site import Scheme, Site, Unit

TAPS = 3  # frames


@dataclasses.dataclass(kw_only=True)
class I3D(Scheme):
    """The first convolution of every residual branch sees three frames.

    "I3D replace" of TSM's Table 5 (Lin et al., ICCV 2019): in ResNet-50 a 3x1x1
    convolution stands for each block's first 1x1, which gives the 33.0 M parameters of
    that row; there is no official code of it. A 3x3 becomes 3x3x3. The new kernels have
    the old names, with an axis of time, and start afresh.
    """

    dtype: jax.typing.DTypeLike
    rngs: nnx.Rngs

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        conv = getattr(module, "conv", None)
        if site.first_unit and isinstance(module, Unit) and type(conv) is FrameConv:
            module.conv = self.filled(
                TimeConv(
                    conv.in_features,
                    conv.out_features,
                    (TAPS, *conv.kernel_size),
                    (1, *conv.strides),
                    padding=((TAPS // 2, TAPS // 2), *conv.padding),
                    feature_group_count=conv.feature_group_count,
                    use_bias=conv.use_bias,
                    kernel_init=he_fan_out,
                    dtype=self.dtype,
                    rngs=self.rngs,
                )
            )
        return module
