"""Slow 8x8 R50 on Kinetics-400 from scratch: the baseline of A3D.

    vidshift prepare kinetics400 --source=DIR --out=datasets
    vidshift train --config=kinetics_slow_8x8 --workdir=runs/k400_slow
    vidshift eval --run=runs/k400_slow --protocol=30-view --split=validation

74.8 % top-1 with 30 views of 256 pixels (Feichtenhofer et al., ICCV 2019, Table 3);
74.2 % in A3D's reproduction, with 4 % fewer training videos (Table 1), on 8 GPUs in 58
minutes an epoch (Table 2). Not measured by us.
"""

from vidshift.recipes import slow


def get_config():
    return slow.kinetics()
