"""Causal TSM-MobileNetV2 on Kinetics-400, 8 frames: for live streams.

    python train.py --config=configs/kinetics_tsm_online_mobilenet_v2.py \\
        --workdir=runs/k400_online_mobile --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/k400_online_mobile --split=validation --protocol=10x3-full

The paper reports 69.5 % top-1 of an online MobileNetV2 (Lin et al., ICCV 2019, section
5.5), the figure that its Table 3 has of both directions; not measured by us. See
`configs/kinetics_tsm_online_resnet50.py`.

The official code has no recipe of it: all values are ResNet-50's.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.kinetics_dense(backbone="mobilenet_v2", causal=True)
