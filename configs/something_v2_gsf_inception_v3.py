"""GSF-Inception-v3 on Something-Something v2, 8 frames.

    vidshift prepare something_v2 --source=DIR --out=datasets
    vidshift train --config=something_v2_gsf_inception_v3 \\
        --workdir=runs/ssv2_gsf_v3 --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv2_gsf_v3 --split=validation
    vidshift eval --run=runs/ssv2_gsf_v3 --split=validation --protocol=2x3

62.83 % top-1 with one clip, 64.59 % by `--protocol=2x3` (Sudhakaran et al., TPAMI 2023,
Table 8). Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4 in place of the code's 5e-4,
and no RandAugment.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v2", backbone="inception_v3")
