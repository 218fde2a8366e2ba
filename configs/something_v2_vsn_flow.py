"""VSN-ResNet-50 on the optical flow of Something-Something v2, 8 stacks of 5.

    vidshift train --config=something_v2_vsn_flow --workdir=runs/ssv2_vsn_flow \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv2_vsn --run=runs/ssv2_vsn_flow --weights=1,1 \\
        --split=validation --protocol=1-whole

53.8 % top-1 of flow alone, 65.3 % together with a run of
`configs/something_v2_vsn_resnet50.py` (Ma et al., 2019, Table 2). Not measured by us.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.flow("something_v2")
