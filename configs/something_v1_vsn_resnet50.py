"""VSN-ResNet-50 on Something-Something v1, 8 frames: shuffled blocks among TSM's.

    vidshift prepare something_v1 --source=DIR --out=datasets
    vidshift train --config=something_v1_vsn_resnet50 --workdir=runs/ssv1_vsn \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv1_vsn --split=validation --protocol=1-whole

46.6 % top-1 (Ma et al., 2019, Table 2), trained on 8 TITAN Xp with 8 clips each. Not
measured by us, and nor are the hours.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.rgb("something_v1")
