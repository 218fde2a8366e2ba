"""VSN-ResNet-50 on Kinetics-400, 8 frames spread over the video.

    vidshift prepare kinetics400 --source=DIR --out=datasets
    vidshift train --config=kinetics_vsn_resnet50 --workdir=runs/k400_vsn \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/k400_vsn --split=validation --protocol=1-whole

73.5 % top-1 and 91.3 % top-5 (Ma et al., 2019, Table 3). Not measured by us.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.rgb("kinetics400")
