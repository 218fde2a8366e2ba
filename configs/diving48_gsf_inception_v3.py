"""GSF-Inception-v3 on Diving48 (version 2), 16 frames.

    vidshift prepare diving48 --source=DIR --out=datasets
    vidshift train --config=diving48_gsf_inception_v3 --workdir=runs/diving48 \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/diving48 --split=test --protocol=2x3

90.51 % top-1 (Sudhakaran et al., TPAMI 2023, Table 11). Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4 in place of the code's 5e-4,
and no RandAugment.
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
