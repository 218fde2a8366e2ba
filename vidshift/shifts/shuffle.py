"""Video Shuffle Networks: frames trade groups of channels around a block's convolution.

VSN (Ma et al., "Learning Efficient Video Representation with Video Shuffle Networks",
2019). No official code exists; where the text leaves a choice there is an option.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from flax import nnx

from vidshift.kernels import Frames
from vidshift.shifts.options import check_choice, check_whole
from vidshift.shifts.site import FrameMixer, NoPlaceError, Scheme, Site
from vidshift.shifts.temporal import TSM

SHUFFLE_BLOCKS = ("compact", "headtail")
OTHER_BLOCKS = ("tsm", "tsn")
# Name -> the slot of a unit that holds the inverse.
INVERSES = {"before_norm": "between", "after_norm": "after"}


def video_shuffle(x: Frames) -> Frames:
    """Gives frame i the i-th group of channels of every frame (equation 1).

    `y[n, i, j * eta + k] = x[n, j, i * eta + k]` for frames i, j of T and `eta = C / T`:
    frame and group trade places, so the shuffle is its own inverse.

    Args:
      x: `[H, W, N, C]`.

    Returns:
      Features of x's shape and type.

    Raises:
      ValueError: C is not a multiple of T.
    """
    x.check()
    height, width, rows, channels = x.data.shape
    if channels % x.frames:
        raise ValueError(
            f"video_shuffle: {channels} channels do not divide into groups for "
            f"{x.frames} frames"
        )
    groups = (x.parts, x.frames, rows // (x.parts * x.frames), x.frames)
    y = x.data.reshape(height, width, *groups, channels // x.frames)
    return x.like(y.swapaxes(3, 5).reshape(x.data.shape))


class VideoShuffle(FrameMixer):
    """`video_shuffle` as a layer, for clips of one length.

    A convolution after it has a filter for each group, so its weights belong to clips of
    that many frames.
    """

    title = "VSN's shuffle"

    def __init__(self, frames: int):
        self.frames = frames

    def __call__(self, x: Frames) -> Frames:
        if x.frames != self.frames:
            raise ValueError(
                f"vsn's weights belong to num_frames={self.frames}, but the features that "
                f"it is to shuffle have {x.frames} frames (temporal_pool leaves about "
                "half of a clip's)"
            )
        return video_shuffle(x)


@dataclasses.dataclass(kw_only=True)
class VSN(Scheme):
    """Shuffles the last residual block of a stage, and shifts the other blocks.

    The paper has four shuffled blocks, in res2 to res5, and TSM's residual shift in every
    other block. Of skipping every second one in ResNet-101, as the official TSM code does,
    it says nothing: here all are shifted.

    Args:
      num_frames: the network's, and that of every clip it is called with.
      shuffle_block: "compact" shuffles before a block's 3x3 convolution (a basic block's
        second one) and back after it, "headtail" before the whole block and back after
        it. The paper draws the latter without saying whether the shortcut is inside;
        where it is the identity, as in all the paper's networks, both are the same.
      shuffle_stages: numbers, counted from 0, of the stages whose last block is shuffled;
        None means all of them.
      other_blocks: "tsm", or "tsn" for no shift (Table 9).
      inverse: of a compact block: "before_norm" shuffles back right after the
        convolution, which is what the paper's "immediately" says; "after_norm" after its
        norm and activation, so that statistics stay with the filters that they are of.
      fold_div: of TSM in the other blocks.

    Raises:
      ValueError: a value that an option does not take, or channels that do not divide by
        num_frames.
      NoPlaceError: compact shuffles around a convolution in so many groups that each is
        of one frame's channels alone, as a depthwise one is; also from `create`, for
        `shuffle_stages` that have no residual last block.
    """

    of_frames = True

    num_frames: int
    shuffle_block: str = "compact"
    shuffle_stages: Sequence[int] | None = None
    other_blocks: str = "tsm"
    inverse: str = "before_norm"
    fold_div: int = 8

    def __post_init__(self):
        check_choice("shuffle_block", self.shuffle_block, SHUFFLE_BLOCKS)
        check_choice("other_blocks", self.other_blocks, OTHER_BLOCKS)
        check_choice("inverse", self.inverse, tuple(INVERSES))
        self.missing = {"any stage"}
        stages = self.shuffle_stages
        if stages is not None:
            if not (isinstance(stages, list | tuple) and stages):
                raise ValueError(
                    "shuffle_stages must be whole numbers from 0, at least one, got "
                    f"{stages!r}"
                )
            for stage in stages:
                check_whole("shuffle_stages", stage, 0)
            self.missing = {f"stage {stage}" for stage in stages}
        self.elsewhere = TSM(fold_div=self.fold_div)

    def check_beside(self, options: Mapping) -> None:
        shuffled = self.shuffle_stages or (1,)
        if options.get("temporal_pool") and any(shuffled):
            raise ValueError(
                f"vsn's weights belong to num_frames={self.num_frames} frames, of which "
                "temporal_pool leaves half after the first stage: shuffle_stages=(0,) "
                "alone goes with it"
            )

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        chosen = self.shuffle_stages is None or site.stage in self.shuffle_stages
        if not (chosen and site.residual and site.last_block):
            if self.other_blocks == "tsm":
                module = self.elsewhere.place(site, module)
            return module
        if self.shuffle_block == "headtail" and site.whole_block:
            self._shuffle(site, module, "after")
        if self.shuffle_block == "compact" and site.unit == 1:
            groups = module.conv.feature_group_count
            if self.num_frames > 1 and groups % self.num_frames == 0:
                raise NoPlaceError(
                    f"no place for vsn in stage {site.stage}: a convolution in {groups} "
                    f"groups of channels mixes none of {self.num_frames} frames that are "
                    'shuffled right before it; shuffle_block="headtail" does'
                )
            self._shuffle(site, module, INVERSES[self.inverse])
        return module

    def _shuffle(self, site: Site, module: nnx.Module, back: str) -> None:
        """Shuffles before a module and, in the slot `back`, back again."""
        if site.width != 1:
            raise ValueError(
                f"width={site.width}: a network under vsn cannot be slimmed, since frames "
                "trade groups of all its channels"
            )
        for channels in (site.in_channels, site.out_channels):
            if channels % self.num_frames:
                raise ValueError(
                    f"the {channels} channels of stage {site.stage} do not divide into "
                    f"groups for num_frames={self.num_frames}"
                )
        for slot in ("before", back):
            self.put(module, slot, VideoShuffle(self.num_frames))
        self.missing -= {"any stage", f"stage {site.stage}"}
