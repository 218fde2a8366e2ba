"""A3D-Slow-8x8-[0.06, 1] without fewer frames: the ablation of A3D's Table 6.

    vidshift train --config=kinetics_a3d_slow_8x8_without_time --workdir=runs/a3d_t
    vidshift budgets --run=runs/a3d_t --protocol=30-view
    vidshift budgets --run=runs/a3d_t --protocol=30-view \\
        --crop=256 --sides=256 --widths=1

75.1 % top-1 of the whole network with 30 views of 256 pixels, against 75.6 % with fewer
frames (Zhu et al., 2020, Table 6). Not measured by us. The paper names 0.5 as the lower
bound of side and width, and rows of 112 and 224 pixels; the two sides between are ours.
"""

from vidshift.recipes import slow


def get_config():
    return slow.a3d(
        widths=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0), sides=(112, 149, 187, 224), frames=(8,)
    )
