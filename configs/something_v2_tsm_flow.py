"""TSM-ResNet-50 on the optical flow of Something-Something v2, 16 frames.

    vidshift train --config=something_v2_tsm_flow --workdir=runs/ssv2_flow \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv2_16f --run=runs/ssv2_flow --weights=1,1 \\
        --split=validation --protocol=2x3-full

66.0 % top-1 on the validation split and 66.6 % on the test's (Lin et al., ICCV 2019,
Table 4) together with 16 frames of `configs/something_v2_tsm_resnet50.py`,
`--config.data.num_frames=16`. Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something_flow("something_v2")
