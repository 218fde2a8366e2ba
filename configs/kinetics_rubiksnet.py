"""RubiksNet-Large on Kinetics-400, 8 frames: what UCF-101 and HMDB-51 start from.

    python train.py --config=configs/kinetics_rubiksnet.py --workdir=runs/k400_rubiks \\
        --config.init=IMAGENET_2D_CHECKPOINT
    python eval.py --workdir=runs/k400_rubiks --split=validation

Other tiers: `--config.model.backbone=rubiksnet_medium` (or `rubiksnet_small`,
`rubiksnet_tiny`). By attention: `--config.model.variant=attention
--config.model.time_init=None --config.optim.attention.budget=0.125`.

The paper has a picture alone (Figure A7), and the official repository has weights without
figures; nothing was measured by us, and nor were the hours. `python -m
vidshift.data.prepare kinetics400 --source=DIR --out=datasets` makes the records.

The paper gives no recipe for Kinetics. Values are those of its Something-Something
(Fan et al., ECCV 2020, supplement A6; `configs/something_v2_rubiksnet.py` says what that
leaves open), with flips, as TSM's recipe has them, and frames spread over the video.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.kinetics()
