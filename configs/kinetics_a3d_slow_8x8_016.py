"""A3D-Slow-8x8-[0.016, 1] on Kinetics-400: one network from 0.9 to 54.5 GFLOPs.

    vidshift train --config=kinetics_a3d_slow_8x8_016 --workdir=runs/k400_a3d_016
    vidshift budgets --run=runs/k400_a3d_016 --protocol=30-view
    vidshift budgets --run=runs/k400_a3d_016 --protocol=30-view \\
        --crop=256 --sides=256 --widths=1 --frames=2,4,8
    vidshift budgets --run=runs/k400_a3d_016 --protocol=30-view \\
        --crop=256 --sides=146,182,219,256

75.2 % top-1 of the whole network with 30 views of 256 pixels, 64.1 % of the smallest
(Zhu et al., 2020, Tables 1, 9 and 12). Not measured by us. The second command evaluates
the 96 sub-networks of Table 12. The third has its row of 256 pixels and the "-T" rows of
Table 5: 74.0 % of 4 frames, 71.5 % of 2. Figure 5 compares the second command, whose
sides are fractions of 224, with the fourth, whose sides are the same fractions of 256.
98 programs are compiled.
"""

from vidshift.recipes import slow


def get_config():
    return slow.a3d(
        widths=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        sides=(128, 160, 192, 224),
        frames=(2, 4, 6, 8),
    )
