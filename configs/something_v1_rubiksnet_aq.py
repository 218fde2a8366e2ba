"""RubiksNet-Large-AQ on Something-Something v1: whole shifts in time by attention.

    python -m vidshift.data.prepare something_v1 --source=DIR --out=datasets
    python train.py --config=configs/something_v1_rubiksnet_aq.py \\
        --workdir=runs/ssv1_rubiks_aq --config.init=IMAGENET_2D_CHECKPOINT
    python eval.py --workdir=runs/ssv1_rubiks_aq --split=validation

The paper has no figure for it on this data set. Not measured by us, and nor are the
hours. The image network is one of `configs/imagenet_rubiksnet.py`.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something_attention("something_v1")
