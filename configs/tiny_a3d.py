"""A3D on `ordered_motion`: one small Slow network for every budget, on any machine.

    vidshift train --config=tiny_a3d --workdir=runs/a3d
    vidshift budgets --run=runs/a3d

Every step trains the network, the narrowest sub-network and one random one; the second
command prints the cost and accuracy of each sub-network. On two CPU cores see
docs/a3d.md, with `--config.adaptive.mode=off` (the same network alone) beside it.
"""

from vidshift.recipes import small


def get_config():
    return small.ordered_motion_a3d()
