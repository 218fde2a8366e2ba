"""RubiksNet-Large on UCF-101, 8 frames, from Kinetics.

    python -m vidshift.data.prepare ucf101 --source=DIR --out=datasets
    python train.py --config=configs/ucf101_rubiksnet.py --workdir=runs/ucf101_rubiks \\
        --config.init=KINETICS_RUN
    python eval.py --workdir=runs/ucf101_rubiks --split=test_1 --protocol=2x3

95.5 % top-1 with two clips (Fan et al., ECCV 2020, Table 3). Not measured by us, and
nor are the hours. The Kinetics run is one of `configs/kinetics_rubiksnet.py`, or an
official `kinetics_large.pth.tar` turned by `python -m vidshift.convert`.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.finetune("ucf101")
