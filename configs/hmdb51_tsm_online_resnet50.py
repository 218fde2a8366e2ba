"""Causal TSM-ResNet-50 on HMDB-51, 8 frames, for live streams.

    vidshift prepare hmdb51 --source=DIR --out=datasets
    vidshift train --config=hmdb51_tsm_online_resnet50 \\
        --workdir=runs/hmdb51_online --config.init=runs/k400_online
    vidshift eval --run=runs/hmdb51_online --split=test_1 --protocol=2x3-full

73.6 % top-1 with two clips at full resolution, 73.5 % in both directions (Lin et al.,
ICCV 2019, Table 6), which names no hardware. Not measured by us. The Kinetics run is a
causal one of `configs/kinetics_tsm_resnet50.py`, by `--config.model.causal=true`.

`--config.recipe=paper` has the paper's training: 50 epochs from a learning rate of 0.01,
dropout 0.5, all batch norms frozen, weight decay 1e-4. Its Kinetics run is one of
`configs/kinetics_tsm_online_resnet50.py`.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.finetune("hmdb51", causal=True)
