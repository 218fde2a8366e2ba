"""RubiksNet-Large on Something-Something v1, 8 frames: learned shifts.

    vidshift prepare something_v1 --source=DIR --out=datasets
    vidshift train --config=something_v1_rubiksnet --workdir=runs/ssv1_rubiks \\
        --config.init=IMAGENET_2D_CHECKPOINT
    vidshift eval --run=runs/ssv1_rubiks --split=validation

46.4 % top-1 with one clip (Fan et al., ECCV 2020, Table 2); of the other tiers a curve
alone (Figure A6). Not measured by us, and nor are the hours. The image network is one
of `configs/imagenet_rubiksnet.py`.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something("something_v1")
