"""Causal TSM-MobileNetV2 on Kinetics-400, 8 frames, for live streams.

    vidshift train --config=kinetics_tsm_online_mobilenet_v2 \\
        --workdir=runs/k400_online_mobile --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/k400_online_mobile --split=validation --protocol=10x3-full

69.5 % top-1 (Lin et al., ICCV 2019, section 5.5), the figure that its Table 3 has of
both directions. Not measured by us.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.kinetics_dense(backbone="mobilenet_v2", causal=True)
