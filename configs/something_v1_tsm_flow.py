"""TSM-ResNet-50 on the optical flow of Something-Something v1, 16 frames.

    vidshift prepare something_v1 --source=DIR --out=datasets --modality=flow
    vidshift train --config=something_v1_tsm_flow --workdir=runs/ssv1_flow \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv1_flow --split=validation
    vidshift eval --run=runs/ssv1_16f --run=runs/ssv1_flow --weights=1,1 \\
        --split=validation

52.6 % top-1 together with 16 frames of `configs/something_v1_tsm_resnet50.py`,
`--config.data.num_frames=16` (Lin et al., ICCV 2019, Table 2), none of flow alone, no
hardware. Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something_flow("something_v1")
