"""GSF-Inception-v3 on Diving48 (version 2), 16 frames.

    python train.py --config=configs/diving48_gsf_inception_v3.py --workdir=runs/diving48 \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/diving48 --split=test --protocol=2x3

The paper reports 90.51 % top-1 (Sudhakaran et al., TPAMI 2023, Table 11); not measured by
us. `python -m vidshift.data.prepare diving48 --source=DIR --out=datasets` makes the
records.

"All training settings are the same [...] except for the batch size" (section 4.5):
`configs/something_v1_gsf_inception_v3.py`.
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
