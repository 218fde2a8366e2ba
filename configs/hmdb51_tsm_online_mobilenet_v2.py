"""Causal TSM-MobileNetV2 on HMDB-51, 8 frames, for live streams.

    vidshift train --config=hmdb51_tsm_online_mobilenet_v2 \\
        --workdir=runs/hmdb51_online_mobile --config.init=runs/k400_online_mobile
    vidshift eval --run=runs/hmdb51_online_mobile --split=test_1 --protocol=2x3-full

No accuracy is published. Not measured by us. The Kinetics run is a causal one of
`configs/kinetics_tsm_resnet50.py`, by `--config.model.causal=true
--config.model.backbone=mobilenet_v2`.

`--config.recipe=paper` has the paper's training: 50 epochs from a learning rate of 0.01,
dropout 0.5, all batch norms frozen, weight decay 1e-4. Its Kinetics run is one of
`configs/kinetics_tsm_online_mobilenet_v2.py`.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.finetune("hmdb51", backbone="mobilenet_v2", causal=True)
