"""TSM-ResNet-50 on Something-Something v2, 8 frames; the official code's recipe.

    vidshift prepare something_v2 --source=DIR --out=datasets
    vidshift train --config=something_v2_tsm_resnet50 --workdir=runs/ssv2 \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv2 --split=validation
    vidshift eval --run=runs/ssv2 --split=validation --protocol=2x3-full

61.2 % top-1 with two clips at full resolution (the official code's README), 61.7 % (Lin
et al., ICCV 2019, Table 1). Neither names hardware. Not measured by us, and nor are the
hours.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("something_v2")
