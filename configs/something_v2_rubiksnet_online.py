"""Causal RubiksNet-Large on Something-Something v2, 8 frames, for live streams.

    vidshift prepare something_v2 --source=DIR --out=datasets
    vidshift train --config=something_v2_rubiksnet_online \\
        --workdir=runs/ssv2_rubiks_online --config.init=IMAGENET_2D_CHECKPOINT
    vidshift eval --run=runs/ssv2_rubiks_online --split=validation --protocol=2x3

A network of ours (`vidshift/shifts/rubiks.py` says how shifts act) and no paper's. Not
measured by us.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something("something_v2", causal=True)
