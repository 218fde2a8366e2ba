"""I3D's convolutions over time, as TSM's paper sets them beside its shift."""

import dataclasses

import jax
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.conv import FrameConv
from vidshift.layers.initializers import he_fan_out
from vidshift.layers.time_conv import TimeConv
from vidshift.shifts.options import check_choice
from vidshift.shifts.site import Scheme, Site, Unit
from vidshift.shifts.temporal_pool import TemporalPool

TAPS = 3  # frames
STEM_TAPS = 5
LAYOUTS = ("every_block", "non_local")


class StemConv(nnx.Conv):
    """A 3-D convolution of whole clips, with a stride in time; of few channels."""

    def __call__(self, x: Frames) -> Frames:
        return Frames.of(super().__call__(x.clips()))


@dataclasses.dataclass(kw_only=True)
class I3D(Scheme):
    """The first convolution of residual branches sees three frames.

    A 1x1 convolution becomes 3x1x1, a 3x3 one 3x3x3. The new kernels have the old names,
    with an axis of time, and start afresh.

    Args:
      layout: "every_block" is "I3D replace" of TSM's Table 5 (Lin et al., ICCV 2019): all
        blocks of ResNet-50, which gives the 33.0 M parameters of that row; there is no
        official code of it. "non_local" is "I3D from [49]" of that table, the baseline of
        Non-local Neural Networks (Wang et al., CVPR 2018, Table 1): all blocks of the
        first stage, every second one of the others, a 5x7x7 stem, and half of the frames
        after the stem's convolution, after its pooling, and after the first stage. It
        sees 32 frames. The two poolings over time are the paper's windows of three
        frames; its code has two.
      dtype, rngs: the network's.

    Raises:
      ValueError: a layout that does not exist.
    """

    layout: str = "every_block"
    dtype: jax.typing.DTypeLike
    rngs: nnx.Rngs

    def __post_init__(self):
        check_choice("layout", self.layout, LAYOUTS)
        if self.layout == "non_local":
            self.missing = {"a 7x7 stem"}

    def _inflates(self, site: Site) -> bool:
        if self.layout == "every_block" or site.stage == 0:
            return True
        # The code's lists: 0, 2, 4, ... of a stage, and of the last, of three, 1 alone.
        return site.block % 2 == (site.stage == 3)

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        pooled = site.whole_block and (site.stage, site.block) in ((0, 0), (1, 0))
        if pooled and self.layout == "non_local":
            # After the stem's pooling over space: both are one of 3x3x3.
            self.put(module, "before", TemporalPool())
        conv = getattr(module, "conv", None)
        inflated = site.first_unit and self._inflates(site)
        if inflated and isinstance(module, Unit) and type(conv) is FrameConv:
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

    def finish(self, network: nnx.Module) -> None:
        stem = getattr(network, "stem", None)
        conv = getattr(stem, "conv", None)
        if not self.missing or getattr(conv, "kernel_size", None) != (7, 7):
            return
        self.missing = frozenset()
        stem.conv = StemConv(
            conv.in_features,
            conv.out_features,
            (STEM_TAPS, *conv.kernel_size),
            (2, *conv.strides),
            padding=((STEM_TAPS // 2, STEM_TAPS // 2), *conv.padding),
            use_bias=False,
            kernel_init=he_fan_out,
            dtype=self.dtype,
            rngs=self.rngs,
        )
