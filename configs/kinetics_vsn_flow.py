"""VSN-ResNet-50 on the optical flow of Kinetics-400, 8 stacks of 5.

    vidshift prepare kinetics400 --source=DIR --out=datasets --modality=flow
    vidshift train --config=kinetics_vsn_flow --workdir=runs/k400_vsn_flow \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/k400_vsn_flow --split=validation --protocol=1-whole

56.7 % top-1 (Ma et al., 2019, Table 5). Not measured by us.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.flow("kinetics400")
