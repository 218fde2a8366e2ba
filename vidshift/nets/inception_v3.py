"""Inception-V3 (Szegedy et al., CVPR 2016), in the form that GSM and GSF use.

That is TensorFlow's network of 2015, ported, with max pooling in the last block, and with
norms of epsilon 1e-5. The official networks take frames of 229 x 229 pixels as blue,
green, red from 0 to 255, less 104, 117 and 128.
"""

from vidshift.nets.inception import Block, Branch, Chain, Conv, InceptionNetwork

TALL, WIDE = (7, 1), (1, 7)  # height, width


def _side_35(projection: int) -> Block:
    """Its tower of a 5x5 convolution goes by the name "3x3"."""
    return Block(
        {
            "1x1": Branch((Conv(64),)),
            "3x3": Branch((Conv(48), Conv(64, 5))),
            "double_3x3": Branch((Conv(64), Conv(96, 3), Conv(96, 3))),
            "pool": Branch((Conv(projection),), "avg"),
        }
    )


def _side_17(inner: int) -> Block:
    """Its tower "3x3" reads over 7x7 places once, "double_3x3" twice."""
    return Block(
        {
            "1x1": Branch((Conv(192),)),
            "3x3": Branch((Conv(inner), Conv(inner, TALL), Conv(192, WIDE))),
            "double_3x3": Branch(
                (
                    Conv(inner),
                    Conv(inner, WIDE),
                    Conv(inner, TALL),
                    Conv(inner, WIDE),
                    Conv(192, TALL),
                )
            ),
            "pool": Branch((Conv(192),), "avg"),
        }
    )


def _side_8(pool: str) -> Block:
    """The towers end in a 3x1 and a 1x3 convolution side by side."""
    fork = (Conv(384, (3, 1)), Conv(384, (1, 3)))
    return Block(
        {
            "1x1": Branch((Conv(320),)),
            "3x3": Branch((Conv(384), *fork), fork=True),
            "double_3x3": Branch((Conv(448), Conv(384, 3), *fork), fork=True),
            "pool": Branch((Conv(192),), pool),
        }
    )


# From 35 x 35 places to 17 x 17, of 299 pixels.
HALVING_35 = Block(
    {
        "3x3": Branch((Conv(384, 3, 2, padding=0),)),
        "double_3x3": Branch((Conv(64), Conv(96, 3), Conv(96, 3, 2, padding=0))),
        "pool": Branch((), "max"),
    },
    halves="odd",
)
# From 17 x 17 to 8 x 8; "double_3x3" reads over 7x7 and over 3x3 places.
HALVING_17 = Block(
    {
        "3x3": Branch((Conv(192), Conv(320, 3, 2, padding=0))),
        "double_3x3": Branch(
            (Conv(192), Conv(192, TALL), Conv(192, WIDE), Conv(192, 3, 2, padding=0))
        ),
        "pool": Branch((), "max"),
    },
    halves="odd",
)
STEM = (
    Chain((Conv(32, 3, 2, padding=0), Conv(32, 3, padding=0), Conv(64, 3))),
    Chain((Conv(80), Conv(192, 3, padding=0))),
)
STAGES = (
    (_side_35(32), _side_35(64), _side_35(64)),  # mixed, mixed_1, mixed_2
    (HALVING_35, _side_17(128), _side_17(160), _side_17(160), _side_17(192)),
    (HALVING_17, _side_8("avg"), _side_8("max")),  # mixed_8, mixed_9, mixed_10
)


class InceptionV3(InceptionNetwork):
    """Inception-V3 over frames; see `InceptionNetwork` for the arguments.

    There is no official TSM of it. With `placement="block"`, the only one that it has a
    place for, the input of each of the eleven blocks is shifted, as in BN-Inception.

    The official network runs at sides such as 229 and 299 alone, at which each side that
    is halved is odd; others, such as 224, are made so (`Block`).
    """

    def __init__(self, scheme, **arguments):
        super().__init__(scheme, stem=STEM, stages=STAGES, **arguments)
