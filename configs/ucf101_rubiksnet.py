"""RubiksNet-Large on UCF-101, 8 frames, from Kinetics.

    vidshift prepare ucf101 --source=DIR --out=datasets
    vidshift train --config=ucf101_rubiksnet --workdir=runs/ucf101_rubiks \\
        --config.init=KINETICS_RUN
    vidshift eval --run=runs/ucf101_rubiks --split=test_1 --protocol=2x3

95.5 % top-1 with two clips (Fan et al., ECCV 2020, Table 3). Not measured by us, and
nor are the hours. The Kinetics run is one of `configs/kinetics_rubiksnet.py`, or an
official `kinetics_large.pth.tar` turned by `vidshift convert`.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.finetune("ucf101")
