"""Causal TSM-ResNet-50 on Something-Something v2, 8 frames, for live streams.

    vidshift prepare something_v2 --source=DIR --out=datasets
    vidshift train --config=something_v2_tsm_online_resnet50 \\
        --workdir=runs/ssv2_online --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv2_online --split=validation --protocol=2x3-full

The paper's Table 6 has no such row, and no accuracy is published. Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("something_v2", causal=True)
