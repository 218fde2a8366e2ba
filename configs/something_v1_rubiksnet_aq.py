"""RubiksNet-Large-AQ on Something-Something v1: whole shifts in time by attention.

    vidshift prepare something_v1 --source=DIR --out=datasets
    vidshift train --config=something_v1_rubiksnet_aq \\
        --workdir=runs/ssv1_rubiks_aq --config.init=IMAGENET_2D_CHECKPOINT
    vidshift eval --run=runs/ssv1_rubiks_aq --split=validation

The paper has no figure for it on this data set. Not measured by us, and nor are the
hours. The image network is one of `configs/imagenet_rubiksnet.py`.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something_attention("something_v1")
