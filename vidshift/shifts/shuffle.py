"""Video Shuffle Networks: frames trade groups of channels around a block's convolution.

VSN (Ma et al., "Learning Efficient Video Representation with Video Shuffle Networks",
2019). No official code exists; where the text leaves a choice there is an option.
"""

from collections.abc import Sequence

from flax import nnx

from kernels import Frames
from vidshift.shifts.options import check_choice, check_whole
from vidshift.shifts.site import NoPlaceError, Scheme, Site, put
from vidshift.shifts.temporal import tsm

SHUFFLE_BLOCKS = ("compact", "headtail")
OTHER_BLOCKS = ("tsm", "tsn")
INVERSES = ("before_norm", "after_norm")


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


class VideoShuffle(nnx.Module):
    """`video_shuffle` as a layer, for clips of one length.

    A convolution after it has a filter for each group, so its weights belong to clips of
    that many frames.
    """

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


def vsn(
    *,
    num_frames: int,
    shuffle_block: str = "compact",
    shuffle_stages: Sequence[int] | None = None,
    other_blocks: str = "tsm",
    inverse: str = "before_norm",
    fold_div: int = 8,
) -> Scheme:
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
    for name, value, allowed in (
        ("shuffle_block", shuffle_block, SHUFFLE_BLOCKS),
        ("other_blocks", other_blocks, OTHER_BLOCKS),
        ("inverse", inverse, INVERSES),
    ):
        check_choice(name, value, allowed)
    if shuffle_stages is not None:
        if not (isinstance(shuffle_stages, list | tuple) and shuffle_stages):
            raise ValueError(
                "shuffle_stages must be whole numbers from 0, at least one, got "
                f"{shuffle_stages!r}"
            )
        for stage in shuffle_stages:
            check_whole("shuffle_stages", stage, 0)
    elsewhere = tsm(fold_div=fold_div)
    around = {"before_norm": "between", "after_norm": "after"}[inverse]
    missing = {"any stage"}
    if shuffle_stages is not None:
        missing = {f"stage {stage}" for stage in shuffle_stages}

    def shuffle(site: Site, module, back: str):
        if site.width != 1:
            raise ValueError(
                f"width={site.width}: a network under vsn cannot be slimmed, since frames "
                "trade groups of all its channels"
            )
        for channels in (site.in_channels, site.out_channels):
            if channels % num_frames:
                raise ValueError(
                    f"the {channels} channels of stage {site.stage} do not divide into "
                    f"groups for num_frames={num_frames}"
                )
        put(module, "before", VideoShuffle(num_frames))
        put(module, back, VideoShuffle(num_frames))
        missing.difference_update({"any stage", f"stage {site.stage}"})

    def scheme(site: Site, module):
        chosen = shuffle_stages is None or site.stage in shuffle_stages
        if not (chosen and site.residual and site.last_block):
            return module if other_blocks == "tsn" else elsewhere(site, module)
        if shuffle_block == "headtail" and site.whole_block:
            shuffle(site, module, "after")
        if shuffle_block == "compact" and site.unit == 1:
            groups = module.conv.feature_group_count
            if num_frames > 1 and groups % num_frames == 0:
                raise NoPlaceError(
                    f"no place for vsn in stage {site.stage}: a convolution in {groups} "
                    f"groups of channels mixes none of {num_frames} frames that are "
                    'shuffled right before it; shuffle_block="headtail" does'
                )
            shuffle(site, module, around)
        return module

    scheme.missing = missing
    return scheme
