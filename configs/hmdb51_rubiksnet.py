"""RubiksNet-Large on HMDB-51, 8 frames, from Kinetics.

    vidshift prepare hmdb51 --source=DIR --out=datasets
    vidshift train --config=hmdb51_rubiksnet --workdir=runs/hmdb51_rubiks \\
        --config.init=KINETICS_RUN
    vidshift eval --run=runs/hmdb51_rubiks --split=test_1 --protocol=2x3

74.6 % top-1 with two clips (Fan et al., ECCV 2020, Table 3). Not measured by us, and
nor are the hours. The Kinetics run is one of `configs/kinetics_rubiksnet.py`, or an
official `kinetics_large.pth.tar` turned by `vidshift convert`. The flags of Table 4's
networks, learned and fixed in space and time, are in docs/rubiksnet.md.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.finetune("hmdb51")
