"""Causal TSM-ResNet-50 on Kinetics-400, 8 frames, for live streams.

    vidshift prepare kinetics400 --source=DIR --out=datasets
    vidshift train --config=kinetics_tsm_online_resnet50 \\
        --workdir=runs/k400_online --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/k400_online --split=validation --protocol=10x3-full

74.3 % top-1 with ten clips at full resolution, 74.1 % in both directions (Lin et al.,
ICCV 2019, Table 6), which names no hardware. Not measured by us.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.kinetics_dense(causal=True)
