"""Causal GSF-ResNet-50 on Something-Something v2, 8 frames, for live streams.

    vidshift prepare something_v2 --source=DIR --out=datasets
    vidshift train --config=something_v2_gsf_online_resnet50 \\
        --workdir=runs/ssv2_gsf_online --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv2_gsf_online --split=validation --protocol=2x3

A network of ours (`vidshift/shifts/gate.py` says what it reads) and no paper's. Not
measured by us. `--config.model.temporal=gsm` is GSM.

`--config.recipe=paper` has the paper's weight decay, 1e-4 in place of the code's 5e-4,
and no RandAugment.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v2", causal=True)
