"""GSF-ResNet-50 on Something-Something v2, 8 frames.

    python train.py --config=configs/something_v2_gsf_resnet50.py \\
        --workdir=runs/ssv2_gsf --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv2_gsf --split=validation
    python eval.py --workdir=runs/ssv2_gsf --split=validation --protocol=2x3

The paper reports 62.19 % top-1 by the first test and 64.01 % by the second, and with
`--config.data.num_frames=16` 63.97 % and 65.23 % (Sudhakaran et al., TPAMI 2023, Table 8);
not measured by us. `python -m vidshift.data.prepare something_v2 --source=DIR
--out=datasets` makes the records. See `configs/something_v1_gsf_resnet50.py`.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v2")
