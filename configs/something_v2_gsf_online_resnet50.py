"""Causal GSF-ResNet-50 on Something-Something v2, 8 frames: it reads the past alone.

    python train.py --config=configs/something_v2_gsf_online_resnet50.py \\
        --workdir=runs/ssv2_gsf_online --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv2_gsf_online --split=validation --protocol=2x3

Such a network is ours (`vidshift/shifts/gate.py` says what it reads) and no paper's; there
is no accuracy to compare with, and it was not measured by us. `vidshift.stream.make`
answers frame by frame. `--config.model.temporal=gsm` is GSM, and `--config.init` may be a
run of `configs/something_v2_gsf_resnet50.py`, whose gates then have to learn anew where
the first half of their channels comes from. `python -m vidshift.data.prepare something_v2
--source=DIR --out=datasets` makes the records.

All values are those of `configs/something_v2_gsf_resnet50.py`.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v2", causal=True)
