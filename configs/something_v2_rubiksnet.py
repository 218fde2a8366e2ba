"""RubiksNet-Large on Something-Something v2, 8 frames: learned shifts.

    vidshift prepare something_v2 --source=DIR --out=datasets
    vidshift train --config=something_v2_rubiksnet --workdir=runs/ssv2_rubiks \\
        --config.init=IMAGENET_2D_CHECKPOINT
    vidshift eval --run=runs/ssv2_rubiks --split=validation --protocol=2x3

61.7 % top-1 with two clips (Fan et al., ECCV 2020, Table 1). Not measured by us, and
nor are the hours. The image network is one of `configs/imagenet_rubiksnet.py`.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something("something_v2")
