"""SlowFast 4x16 R50 on Kinetics-400 from scratch: the baseline of A3D-SlowFast.

    vidshift train --config=kinetics_slowfast_4x16 --workdir=runs/k400_slowfast
    vidshift eval --run=runs/k400_slowfast --protocol=30-view --split=validation

75.6 % top-1 with 30 views of 256 pixels (Feichtenhofer et al., ICCV 2019, Table 2a);
74.4 % in A3D's reproduction (Table 1). Not measured by us. With --config.model.frames=2
it is SlowFast 2x32, 73.5 % (A3D, Table 8). No official config has that network; this has
the 21.8 GFLOPs that are printed for it: the Slow pathway sees every second of its frames.
"""

from vidshift.recipes import slow


def get_config():
    return slow.kinetics("slowfast_4x16_r50")
