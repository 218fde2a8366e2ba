"""TSM-ResNet-50 on UCF-101, 8 frames, from Kinetics; the official code's recipe.

    vidshift prepare ucf101 --source=DIR --out=datasets
    vidshift train --config=ucf101_tsm_resnet50 --workdir=runs/ucf101 \\
        --config.init=runs/k400
    vidshift eval --run=runs/ucf101 --split=test_1 --protocol=2x3-full

95.9 % top-1 and 99.7 % top-5 with two clips at full resolution (Lin et al., ICCV 2019,
Table 1), which names neither splits nor hardware. Not measured by us. The Kinetics run
is one of `configs/kinetics_tsm_resnet50.py`, as in the official script, or an official
checkpoint turned by `vidshift convert`.

`--config.recipe=paper` has the paper's training: 50 epochs from a learning rate of 0.01,
dropout 0.5, all batch norms frozen, weight decay 1e-4. Its Kinetics run is one of
`configs/kinetics_tsm_resnet50_dense.py`.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.finetune("ucf101")
