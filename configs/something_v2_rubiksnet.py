"""RubiksNet-Large on Something-Something v2, 8 frames: learned shifts in space and time.

    python train.py --config=configs/something_v2_rubiksnet.py --workdir=runs/ssv2_rubiks \\
        --config.init=IMAGENET_2D_CHECKPOINT
    python eval.py --workdir=runs/ssv2_rubiks --split=validation --protocol=2x3

The image network is trained by `configs/imagenet_rubiksnet.py`. Other tiers:
`--config.model.backbone=rubiksnet_medium` (or `rubiksnet_small`, `rubiksnet_tiny`); rounded
shifts (RubiksShift-Q of Table 5): `--config.model.variant=quantized`. Shifts by attention
have a config of their own, `configs/something_v2_rubiksnet_aq.py`. On a v5e slice of 256
chips add `--config.batch_size=2048 --config.eval_batch_size=2048` (the learning rate
follows the batch).

The paper reports (Table 1, two clips) 61.7 % top-1 for Large, 60.8 for Medium, 59.8 for
Small and 56.7 for Tiny, and 58.2 for Large with rounded shifts (Table 5); not measured by
us, and nor are the hours. `python -m vidshift.data.prepare something_v2 --source=DIR
--out=datasets` makes the records.

Values are those of Fan et al., ECCV 2020, supplement A6, where no other source is given.
The paper leaves open: the number of epochs (about 40, since the learning rate falls at 26
and 36 and the attention's temperature for 40), how long the warm-up before the shifts'
1:100 is and what holds before, augmentation ("training protocols of recent work": TSM's
here), and what the temporal shifts start from after 2-D training. The official
repository has no training code.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.something("something_v2")
