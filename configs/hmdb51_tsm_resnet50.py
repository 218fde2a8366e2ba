"""TSM-ResNet-50 on HMDB-51, 8 frames, from Kinetics.

    vidshift prepare hmdb51 --source=DIR --out=datasets
    vidshift train --config=hmdb51_tsm_resnet50 --workdir=runs/hmdb51 \\
        --config.init=runs/k400
    vidshift eval --run=runs/hmdb51 --split=test_1 --protocol=2x3-full

73.5 % top-1 and 94.3 % top-5 with two clips at full resolution (Lin et al., ICCV 2019,
Table 1), which names neither splits nor hardware. Not measured by us. The Kinetics run
is that of `configs/ucf101_tsm_resnet50.py`.

`--config.recipe=paper` has the paper's training: 50 epochs from a learning rate of 0.01,
dropout 0.5, all batch norms frozen, weight decay 1e-4. Its Kinetics run is one of
`configs/kinetics_tsm_resnet50_dense.py`.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.finetune("hmdb51")
