"""RubiksNet-Large on HMDB-51, 8 frames, from Kinetics.

    python train.py --config=configs/hmdb51_rubiksnet.py --workdir=runs/hmdb51_rubiks \\
        --config.init=KINETICS_RUN
    python eval.py --workdir=runs/hmdb51_rubiks --split=test_1 --protocol=2x3

The Kinetics run is one of `configs/kinetics_rubiksnet.py`, or an official
`kinetics_large.pth.tar` turned by `python -m vidshift.convert`. Other tiers:
`--config.model.backbone=rubiksnet_medium` (or `rubiksnet_small`, `rubiksnet_tiny`), from a
Kinetics run of the same.

Table 4 (Large and Small) has shifts by attention with a budget of 0.25, learned or fixed:
`--config.model.variant=attention --config.optim.attention.budget=0.25` for both learned,
the same with `--config.model.space=fixed`, and `--config.model.time=fixed` of the
interpolated variant with space learned or fixed.

The paper reports (Table 3, two clips) 74.6 % top-1 for Large; not measured by us, and nor
are the hours. `python -m vidshift.data.prepare hmdb51 --source=DIR --out=datasets` makes
the records.

Fan et al., ECCV 2020, supplement A6: "the set of tuneable hyperparameters is the same as
with Something-Something, with similar values", which are not given: here they are those
of Something-Something v2 with a learning rate a tenth as large, ours for fine-tuning, and
TSM's augmentation with flips.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.finetune("hmdb51")
