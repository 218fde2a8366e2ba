"""GSF-Inception-v3 on Something-Something v2, 8 frames.

    python train.py --config=configs/something_v2_gsf_inception_v3.py \\
        --workdir=runs/ssv2_gsf_v3 --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv2_gsf_v3 --split=validation
    python eval.py --workdir=runs/ssv2_gsf_v3 --split=validation --protocol=2x3

The paper reports 62.83 % top-1 by the first test and 64.59 % by the second, and with
`--config.data.num_frames=16` 64.48 % and 65.60 % (Sudhakaran et al., TPAMI 2023, Table 8);
not measured by us. `python -m vidshift.data.prepare something_v2 --source=DIR
--out=datasets` makes the records. See `configs/something_v1_gsf_inception_v3.py`.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v2", backbone="inception_v3")
