"""SlowFast 4x16 R50 on Kinetics-400 from scratch: the baseline of A3D-SlowFast.

    vidshift train --config=kinetics_slowfast_4x16 --workdir=runs/k400_slowfast
    vidshift eval --run=runs/k400_slowfast --protocol=30-view --split=validation

75.6 % top-1 with 30 views of 256 pixels (Feichtenhofer et al., ICCV 2019, Table 2a);
74.4 % in A3D's reproduction (Table 1). Not measured by us.
"""

from vidshift.recipes import slow


def get_config():
    return slow.kinetics("slowfast_4x16_r50")
