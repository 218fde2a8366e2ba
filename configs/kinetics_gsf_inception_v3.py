"""GSF-Inception-v3 on Kinetics-400, 16 frames spread over the video.

    vidshift train --config=kinetics_gsf_inception_v3 \\
        --workdir=runs/k400_gsf_v3 --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/k400_gsf_v3 --split=validation --protocol=10x3

75.57 % top-1 (Sudhakaran et al., TPAMI 2023, Table 9). Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4 in place of the code's 5e-4,
and no RandAugment.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("kinetics400", backbone="inception_v3", num_frames=16)
