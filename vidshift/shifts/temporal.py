"""TSN, which does not mix time, and TSM, which shifts whole frames of some channels."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.kernels import Frames, temporal_shift, temporal_shift_conv
from vidshift.shifts.options import check_choice, check_flag, check_whole
from vidshift.shifts.past import exchange, new_past
from vidshift.shifts.site import FrameMixer, Scheme, Site, Unit

PLACEMENTS = ("blockres", "block")


class TSN(Scheme):
    """Frames are seen one by one; only the logits are averaged (Wang et al., 2016).

    The option `causal` changes nothing: no frame is read but the present one. (`create`
    refuses it for a backbone that mixes time by itself.)
    """

    causal = True

    def __init__(self, *, causal: bool = False):
        check_flag("causal", causal)

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        return module

    def unmet(self) -> None:
        """Asks for no site."""


class TemporalShift(FrameMixer):
    """`vidshift.kernels.temporal_shift` as a layer, of frames or of clips `[B, T, ..., C]`.

    In a stream it keeps the channels that the next frame reads (section 4.2).
    """

    title = "TSM's shift"
    takes_clips = True
    causal = property(lambda self: self.direction == "past")

    def __init__(self, fold: int, direction: str):
        self.fold = fold
        self.direction = direction
        self.past = nnx.data(None)

    def start_stream(self) -> None:
        self.past = new_past()

    def __call__(self, x: Frames | jax.Array) -> Frames | jax.Array:
        if self.past is None:
            return temporal_shift(x, fold=self.fold, direction=self.direction)
        data = x.data if isinstance(x, Frames) else x
        before = exchange(self.past, data[..., : self.fold])
        data = jnp.concatenate([before, data[..., self.fold :]], -1)
        return x.like(data) if isinstance(x, Frames) else data


class ShiftedUnit(Unit):
    """A unit whose 1x1 convolution reads the frames that the shift before it would move.

    With a batch norm in evaluation mode, one operation does the whole unit.
    """

    reads_weights = True

    def __init__(self, shift: TemporalShift, unit: Unit):
        super().__init__(unit.conv, unit.norm, unit.activation)
        self.before = shift

    def __call__(self, x: Frames) -> Frames:
        if self.before.past is not None:
            return super().__call__(x)
        x = x.like(x.data.astype(self.conv.dtype))
        shifted_conv = partial(
            temporal_shift_conv,
            x,
            self.conv.kernel[...][0, 0],
            fold=self.before.fold,
            direction=self.before.direction,
        )
        in_one = self.between is None and self.after is None
        in_one &= self.activation in (None, nnx.relu)
        if self.norm.use_running_average and in_one:
            scale, bias = self.norm.scale_and_bias()
            relu = self.activation is not None
            return shifted_conv(scale=scale, bias=bias, relu=relu)
        return self.finish(shifted_conv())


def _pointwise(module) -> bool:
    """Returns whether a module is a unit of a plain 1x1 convolution of stride 1."""
    if not isinstance(module, Unit) or module.before is not None:
        return False
    conv = module.conv
    plain = conv.bias is None and conv.feature_group_count == 1
    return plain and set(conv.kernel_size) == {1} and set(conv.strides) == {1}


@dataclasses.dataclass(kw_only=True)
class TSM(Scheme):
    """The temporal shift module (Lin et al., ICCV 2019; the official code's form).

    Args:
      fold_div: one fold is `in_channels // fold_div` channels of the full-width network;
        a slimmed one (A3D) keeps them first. Two folds move, one
        from each side in time; with `causal` one fold moves, from the past, as in the
        official online network.
      placement: "blockres" shifts the input of the residual branch ("residual shift",
        the official default), "block" the input of the whole block, shortcut included
        ("in-place shift").
      causal: read the past only.
      every_second_block: with "blockres", shift only the blocks 0, 2, 4, ... of each
        stage. The official code does so in every stage of a network whose third stage
        has 23 blocks or more (ResNet-101), which no single site can know.

    Raises:
      ValueError: a placement that does not exist, an option of another type, or a
        fold_div below 2 (1 when causal), for which the folds do not fit.
    """

    fold_div: int = 8
    placement: str = "blockres"
    causal: bool = False
    every_second_block: bool = False

    def __post_init__(self):
        check_flag("causal", self.causal)
        check_flag("every_second_block", self.every_second_block)
        check_whole("fold_div", self.fold_div, 0)
        check_choice("placement", self.placement, PLACEMENTS)
        if self.fold_div < (1 if self.causal else 2):
            raise ValueError(
                f"fold_div={self.fold_div}: the folds do not fit in the channels"
            )

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        skipped = self.every_second_block and site.block % 2
        in_branch = site.first_unit and not skipped
        if not (site.whole_block if self.placement == "block" else in_branch):
            return module
        fold = site.in_channels // self.fold_div
        if not fold:
            raise ValueError(
                f"fold_div={self.fold_div} leaves nothing to shift of the "
                f"{site.in_channels} channels of stage {site.stage}"
            )
        moved = fold if self.causal else 2 * fold
        if moved > site.kept_in:
            raise ValueError(
                f"width={site.width} keeps {site.kept_in} of the {site.in_channels} "
                f"channels of stage {site.stage}, fewer than the {moved} that tsm moves"
            )
        shift = TemporalShift(fold, "past" if self.causal else "both")
        if _pointwise(module):
            return self.filled(ShiftedUnit(shift, module))
        self.put(module, "before", shift)
        return module
