"""Causal RubiksNet-Large on Something-Something v2, 8 frames: it reads the past alone.

    python train.py --config=configs/something_v2_rubiksnet_online.py \\
        --workdir=runs/ssv2_rubiks_online --config.init=IMAGENET_2D_CHECKPOINT
    python eval.py --workdir=runs/ssv2_rubiks_online --split=validation --protocol=2x3

Such a network is ours (`vidshift/shifts/rubiks.py` says how shifts act) and no paper's;
there is no accuracy to compare with, and it was not measured by us. `vidshift.stream.make`
answers frame by frame. Rounded shifts: `--config.model.variant=quantized`; by attention:
`--config.model.variant=attention --config.model.time_init=None
--config.optim.attention.budget=0.125`; other tiers: `--config.model.backbone=rubiksnet_tiny`
(or `rubiksnet_small`, `rubiksnet_medium`). A run of `configs/something_v2_rubiksnet.py` may
be `--config.init`: what its channels read of the future then becomes as much of the past.
`python -m vidshift.data.prepare something_v2 --source=DIR --out=datasets` makes the records.

All values are those of `configs/something_v2_rubiksnet.py`. `time_init` starts from causal
TSM's pattern, one eighth of the channels from the frame before, and its noise.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something("something_v2", causal=True)
