"""BN-Inception (Ioffe and Szegedy, 2015), in the form that TSN, TSM, GSM and GSF use.

That is the network trained in Caffe: the paper's figure 5, but 4c and 4d end in 608
channels, not in 576. The official networks take frames of 224 x 224 pixels as blue, green,
red from 0 to 255, less 104, 117 and 128.
"""

from vidshift.nets.inception import Block, Branch, Chain, Conv, InceptionNetwork


def _block(one, three, double, pool) -> Block:
    """A block of stride 1; pairs are (before a 3x3, from it on), or (kind, channels)."""
    kind, projection = pool
    return Block(
        {
            "1x1": Branch((Conv(one),)),
            "3x3": Branch((Conv(three[0]), Conv(three[1], 3))),
            "double_3x3": Branch(
                (Conv(double[0]), Conv(double[1], 3), Conv(double[1], 3))
            ),
            "pool": Branch((Conv(projection),), kind),
        }
    )


def _halving(three, double) -> Block:
    """A block of stride 2, which has no 1x1 branch and only pools in the last."""
    return Block(
        {
            "3x3": Branch((Conv(three[0]), Conv(three[1], 3, 2))),
            "double_3x3": Branch(
                (Conv(double[0]), Conv(double[1], 3), Conv(double[1], 3, 2))
            ),
            "pool": Branch((), "max"),
        },
        halves="even",
    )


STEM = (Chain((Conv(64, 7, 2),)),)
STAGES = (
    (Chain((Conv(64), Conv(192, 3))),),  # conv2
    (
        _block(64, (64, 64), (64, 96), ("avg", 32)),  # 3a
        _block(64, (64, 96), (64, 96), ("avg", 64)),
        _halving((128, 160), (64, 96)),
    ),
    (
        _block(224, (64, 96), (96, 128), ("avg", 128)),  # 4a
        _block(192, (96, 128), (96, 128), ("avg", 128)),
        _block(160, (128, 160), (128, 160), ("avg", 128)),
        _block(96, (128, 192), (160, 192), ("avg", 128)),
        _halving((128, 192), (192, 256)),
    ),
    (
        _block(352, (192, 320), (160, 224), ("avg", 128)),  # 5a
        _block(352, (192, 320), (192, 224), ("max", 128)),
    ),
)


class BNInception(InceptionNetwork):
    """BN-Inception over frames; see `InceptionNetwork` for the arguments.

    TSM's official code has two placements for it. "block" shifts the input of each stage
    but the first, so not the image: here of conv2 and the ten blocks. "blockres" adds a
    stage's unshifted input to its output, whose shapes differ, and crashes; `create`
    refuses it. That code's norms have a momentum of 0.9 in PyTorch's sense, so that 0.1 of
    the old statistics is kept; we keep 0.9, as GSM's and GSF's do.
    """

    def __init__(self, scheme, **arguments):
        super().__init__(scheme, stem=STEM, stages=STAGES, **arguments)
