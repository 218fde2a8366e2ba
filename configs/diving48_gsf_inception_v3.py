"""GSF-Inception-v3 on Diving48 (version 2), 16 frames.

    python -m vidshift.data.prepare diving48 --source=DIR --out=datasets
    python train.py --config=configs/diving48_gsf_inception_v3.py --workdir=runs/diving48 \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/diving48 --split=test --protocol=2x3

90.51 % top-1 (Sudhakaran et al., TPAMI 2023, Table 11). Not measured by us.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train(
        "diving48",
        backbone="inception_v3",
        num_frames=16,
        batch_size=8,
        validation_split="test",
    )
