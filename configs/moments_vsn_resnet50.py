"""VSN-ResNet-50 on Moments in Time, 8 frames.

    vidshift prepare moments --source=DIR --out=datasets
    vidshift train --config=moments_vsn_resnet50 --workdir=runs/moments_vsn \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/moments_vsn --split=validation --protocol=1-whole

31.74 % top-1 and 58.66 % top-5, 32.65 % and 61.47 % with
`--config.model.backbone=resnet101` (Ma et al., 2019, Table 4), of version 1 with its
339 classes. Not measured by us.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.rgb("moments")
