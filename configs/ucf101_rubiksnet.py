"""RubiksNet-Large on UCF-101, 8 frames, from Kinetics.

    python train.py --config=configs/ucf101_rubiksnet.py --workdir=runs/ucf101_rubiks \\
        --config.init=KINETICS_RUN
    python eval.py --workdir=runs/ucf101_rubiks --split=test_1 --protocol=2x3

The Kinetics run is one of `configs/kinetics_rubiksnet.py`, or an official
`kinetics_large.pth.tar` turned by `python -m vidshift.convert`. Other tiers:
`--config.model.backbone=rubiksnet_medium` (or `rubiksnet_small`, `rubiksnet_tiny`), from a
Kinetics run of the same.

The paper reports (Table 3, two clips) 95.5 % top-1 for Large; not measured by us, and nor
are the hours. `python -m vidshift.data.prepare ucf101 --source=DIR --out=datasets` makes
the records.

Fan et al., ECCV 2020, supplement A6: "the set of tuneable hyperparameters is the same as
with Something-Something, with similar values", which are not given: here they are those
of Something-Something v2 with a learning rate a tenth as large, ours for fine-tuning, and
TSM's augmentation with flips.
"""

from vidshift.recipes import rubiksnet


def get_config():
    return rubiksnet.finetune("ucf101")
