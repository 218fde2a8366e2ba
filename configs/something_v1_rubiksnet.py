"""RubiksNet-Large on Something-Something v1, 8 frames: learned shifts in space and time.

    python train.py --config=configs/something_v1_rubiksnet.py --workdir=runs/ssv1_rubiks \\
        --config.init=IMAGENET_2D_CHECKPOINT
    python eval.py --workdir=runs/ssv1_rubiks --split=validation

The image network is trained by `configs/imagenet_rubiksnet.py`. Other tiers:
`--config.model.backbone=rubiksnet_medium` (or `rubiksnet_small`, `rubiksnet_tiny`); rounded
shifts (RubiksShift-Q of Table 5): `--config.model.variant=quantized`. Shifts by attention
have a config of their own, `configs/something_v1_rubiksnet_aq.py`. On a v5e slice of 256
chips add `--config.batch_size=2048 --config.eval_batch_size=2048` (the learning rate
follows the batch).

The paper reports (Table 2, one clip) 46.4 % top-1 for Large, and of the other tiers a
curve alone (Figure A6); not measured by us, and nor are the hours. `python -m
vidshift.data.prepare something_v1 --source=DIR --out=datasets` makes the records.

Values are those of Fan et al., ECCV 2020, supplement A6, where no other source is given.
The paper leaves open: the number of epochs (about 40, since the learning rate falls at 26
and 36 and the attention's temperature for 40), how long the warm-up before the shifts'
1:100 is and what holds before, augmentation ("training protocols of recent work": TSM's
here), and what the temporal shifts start from after 2-D training. The official
repository has no training code.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something("something_v1")
