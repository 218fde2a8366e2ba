"""TSM-ResNet-50 on Kinetics-400, 8 of 64 neighbouring frames: the paper's recipe.

    vidshift train --config=kinetics_tsm_resnet50_dense \\
        --workdir=runs/k400_dense --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/k400_dense --split=validation --protocol=10x3-full

74.1 % top-1 and 91.2 % top-5 with ten clips at full resolution (Lin et al., ICCV 2019,
Tables 1 and 3), which names no hardware. Not measured by us. UCF-101 and HMDB-51 start
from it in the paper's recipe, and from `configs/kinetics_tsm_resnet50.py` in the code's.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.kinetics_dense()
