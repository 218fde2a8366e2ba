"""GSF-BN-Inception on Something-Something v2, 8 frames.

    python train.py --config=configs/something_v2_gsf_bn_inception.py \\
        --workdir=runs/ssv2_gsf_bn --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv2_gsf_bn --split=validation
    python eval.py --workdir=runs/ssv2_gsf_bn --split=validation --protocol=2x3

The paper reports 61.29 % top-1 by the first test and 62.76 % by the second, and with
`--config.data.num_frames=16` 63.4 % and 64.57 %; of TSN with 16 frames,
`--config.model.temporal=tsn`, 32.71 % by the first (Sudhakaran et al., TPAMI 2023, Table
8). Not measured by us. `python -m vidshift.data.prepare something_v2 --source=DIR
--out=datasets` makes the records. See `configs/something_v1_gsf_bn_inception.py`.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v2", backbone="bn_inception")
