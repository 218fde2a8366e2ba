"""VSN-ResNet-50 on the optical flow of Something-Something v1, 8 stacks of 5.

    vidshift prepare something_v1 --source=DIR --out=datasets --modality=flow
    vidshift train --config=something_v1_vsn_flow --workdir=runs/ssv1_vsn_flow \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv1_vsn_flow --split=validation --protocol=1-whole

37.5 % top-1 (Ma et al., 2019, Table 5), 38.8 % (Table 2); 51.6 % together with a run of
`configs/something_v1_vsn_resnet50.py`. Not measured by us.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.flow("something_v1")
