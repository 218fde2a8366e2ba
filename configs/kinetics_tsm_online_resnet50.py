"""Causal TSM-ResNet-50 on Kinetics-400, 8 frames: for live streams.

    python train.py --config=configs/kinetics_tsm_online_resnet50.py \\
        --workdir=runs/k400_online --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/k400_online --split=validation --protocol=10x3-full

The paper reports 74.3 % top-1 with ten clips at full resolution, where the network of
both directions has 74.1 % (Lin et al., ICCV 2019, Table 6), and names no hardware; not
measured by us. Every block keeps one eighth of its input's channels for the next frame;
none reads a later one, and `vidshift.stream.make` answers frame by frame. `python -m
vidshift.data.prepare kinetics400 --source=DIR --out=datasets` makes the records.

An image network initialises it; a run that reads both ways fits by its names alone: it
has the next frame in the channels where this one has the previous. The online training
code was not released; its author answers that the recipe is the same with a shift from
one side, and so are all values here: `configs/kinetics_tsm_resnet50_dense.py`.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.kinetics_dense(causal=True)
