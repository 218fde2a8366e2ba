"""GSF-ResNet-50 on Kinetics-400, 16 frames spread over the video.

    vidshift prepare kinetics400 --source=DIR --out=datasets
    vidshift train --config=kinetics_gsf_resnet50 --workdir=runs/k400_gsf \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/k400_gsf --split=validation --protocol=10x3

74.81 % top-1 (Sudhakaran et al., TPAMI 2023, Table 9). Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4 in place of the code's 5e-4,
and no RandAugment.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("kinetics400", num_frames=16)
