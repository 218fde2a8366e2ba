"""Causal TSM-MobileNetV2 on UCF-101, 8 frames: for live streams.

    python train.py --config=configs/ucf101_tsm_online_mobilenet_v2.py \\
        --workdir=runs/ucf101_online_mobile --config.init=runs/k400_online_mobile
    python eval.py --workdir=runs/ucf101_online_mobile --split=test_1 --protocol=2x3-full

No accuracy is published; not measured by us. See
`configs/ucf101_tsm_online_resnet50.py`.

The Kinetics run is a causal one, of `configs/kinetics_tsm_resnet50.py` (frames of the
whole video) with `--config.model.causal=true --config.model.backbone=mobilenet_v2`: one
that reads both ways has the next frame in the channels where this one has the previous.
The official code has no recipe of it: all values are ResNet-50's.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.finetune("ucf101", backbone="mobilenet_v2", causal=True)
