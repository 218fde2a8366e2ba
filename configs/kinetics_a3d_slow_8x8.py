"""A3D-Slow-8x8-[0.06, 1] on Kinetics-400: one network from 2.7 to 54.5 GFLOPs.

    vidshift train --config=kinetics_a3d_slow_8x8 --workdir=runs/k400_a3d
    vidshift budgets --run=runs/k400_a3d --protocol=30-view
    vidshift budgets --run=runs/k400_a3d --protocol=30-view \\
        --crop=256 --sides=256 --widths=1 --frames=8

75.6 % top-1 of the whole network with 30 views of 256 pixels, 68.7 % of the smallest
(Zhu et al., 2020, Tables 1, 10 and 13), in 69 minutes an epoch on 8 GPUs (Table 2). Not
measured by us. The second command evaluates the 45 sub-networks of Table 13 at 224
pixels, the third its row of 256. 47 programs are compiled: the full network's, the
update's, and one for each of 5 widths x 3 sides x 3 numbers of frames.
"""

from vidshift.recipes import slow


def get_config():
    return slow.a3d()
