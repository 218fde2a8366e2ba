"""Causal TSM-ResNet-50 on Something-Something v1, 8 frames, for live streams.

    vidshift prepare something_v1 --source=DIR --out=datasets
    vidshift train --config=something_v1_tsm_online_resnet50 \\
        --workdir=runs/ssv1_online --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv1_online --split=validation --protocol=2x3-full

46.3 % top-1 with two clips at full resolution, 47.3 % in both directions (Lin et al.,
ICCV 2019, Table 6), which names no hardware. Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("something_v1", causal=True)
