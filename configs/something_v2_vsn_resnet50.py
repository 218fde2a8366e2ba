"""VSN-ResNet-50 on Something-Something v2, 8 frames.

    vidshift prepare something_v2 --source=DIR --out=datasets
    vidshift train --config=something_v2_vsn_resnet50 --workdir=runs/ssv2_vsn \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv2_vsn --split=validation --protocol=1-whole

60.6 % top-1 (Ma et al., 2019, Table 2). Not measured by us.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.rgb("something_v2")
