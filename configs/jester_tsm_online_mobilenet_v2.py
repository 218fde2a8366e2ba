"""Causal TSM-MobileNetV2 on Jester's hand gestures, 8 frames, for live streams.

    vidshift train --config=jester_tsm_online_mobilenet_v2 \\
        --workdir=runs/jester_online_mobile --config.init=IMAGENET_CHECKPOINT
    vidshift eval --run=runs/jester_online_mobile --split=validation --protocol=2x3-full

The network of the official online demo. No accuracy is published. Not measured by us.
`vidshift convert mobilenetv2_jester_online.pth.tar --out=RUN --backbone=mobilenet_v2
--temporal=tsm --option=causal=true` turns the demo's weights (27 classes) into a run.
The demo takes every second frame of a camera and the mean of the last twelve answers,
`vidshift.stream.make(model, average=12)`; it shows BGR frames to a network of RGB.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("jester", backbone="mobilenet_v2", causal=True)
