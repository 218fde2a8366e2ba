"""Causal TSM-ResNet-50 on Jester's hand gestures, 8 frames: for live streams.

    python train.py --config=configs/jester_tsm_online_resnet50.py \\
        --workdir=runs/jester_online --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/jester_online --split=validation --protocol=2x3-full

The paper's Table 6 has no such row, and no accuracy is published; not measured by us.
Every block keeps one eighth of its input's channels for the next frame; none reads a
later one, and `vidshift.stream.make` answers frame by frame. `python -m
vidshift.data.prepare jester --source=DIR --out=datasets` makes the records.

An image network initialises it; a run that reads both ways fits by its names alone: it
has the next frame in the channels where this one has the previous. The online training
code was not released; its author answers that the recipe is the same with a shift from
one side, and so are all values here: `configs/jester_tsm_resnet50.py`.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("jester", causal=True)
