"""RubiksNet-Large-AQ on Something-Something v2: whole shifts in time by attention.

    vidshift prepare something_v2 --source=DIR --out=datasets
    vidshift train --config=something_v2_rubiksnet_aq \\
        --workdir=runs/ssv2_rubiks_aq --config.init=IMAGENET_2D_CHECKPOINT
    vidshift eval --run=runs/ssv2_rubiks_aq --split=validation --protocol=2x3

61.6 % top-1 with two clips (Fan et al., ECCV 2020, Table 5), 58.57 % with one (the
released network's log). Not measured by us, and nor are the hours. The image network is
one of `configs/imagenet_rubiksnet.py`.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something_attention("something_v2")
