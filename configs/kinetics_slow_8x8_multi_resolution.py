"""Slow 8x8 R50 at random resolutions, without sub-networks: A3D's Table 7.

    vidshift train --config=kinetics_slow_8x8_multi_resolution --workdir=runs/mr
    vidshift eval --run=runs/mr --protocol=30-view --split=validation

73.4 % top-1 with 30 views of 256 pixels, below the 74.2 % of a training at full
resolution alone (Zhu et al., 2020, Table 7). Not measured by us.
"""

from vidshift.recipes import slow


def get_config():
    return slow.a3d(mode="multi_resolution")
