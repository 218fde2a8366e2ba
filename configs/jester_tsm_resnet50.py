"""TSM-ResNet-50 on Jester's hand gestures, 8 frames.

    vidshift prepare jester --source=DIR --out=datasets
    vidshift train --config=jester_tsm_resnet50 --workdir=runs/jester \\
        --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/jester --split=validation --protocol=2x3-full

97.0 % top-1 and 99.9 % top-5 with two clips at full resolution (Lin et al., ICCV 2019,
Table 1), which names no hardware. Not measured by us.
`configs/jester_tsm_online_mobilenet_v2.py` is the official online demo's network.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("jester")
