"""RubiksNet-Large on Kinetics-400, 8 frames: what UCF-101 and HMDB-51 start from.

    vidshift prepare kinetics400 --source=DIR --out=datasets
    vidshift train --config=kinetics_rubiksnet --workdir=runs/k400_rubiks \\
        --config.init=IMAGENET_2D_CHECKPOINT
    vidshift eval --run=runs/k400_rubiks --split=validation

The paper has a picture alone (Fan et al., ECCV 2020, Figure A7), and the official
repository has weights without figures. Not measured by us, and nor are the hours.
`--config.model.time=fixed`, `--config.model.space=fixed` and
`--config.model.variant=attention` make the networks that Table 4's start from.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.kinetics()
