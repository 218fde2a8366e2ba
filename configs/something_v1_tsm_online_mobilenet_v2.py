"""Causal TSM-MobileNetV2 on Something-Something v1, 8 frames, for live streams.

    vidshift train --config=something_v1_tsm_online_mobilenet_v2 \\
        --workdir=runs/ssv1_online_mobile --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/ssv1_online_mobile --split=validation --protocol=2x3-full

No accuracy is published. Not measured by us.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("something_v1", backbone="mobilenet_v2", causal=True)
