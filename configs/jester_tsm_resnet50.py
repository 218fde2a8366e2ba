"""TSM-ResNet-50 on Jester's hand gestures, 8 frames.

    python train.py --config=configs/jester_tsm_resnet50.py --workdir=runs/jester \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/jester --split=validation --protocol=2x3-full

The paper reports 97.0 % top-1 and 99.9 % top-5 with two clips at full resolution, and
83.9 % of TSN, `--config.model.temporal=tsn` (Lin et al., ICCV 2019, Table 1), and names no
hardware; not measured by us. The online network of the official demo has a config of its
own, `configs/jester_tsm_online_mobilenet_v2.py`. `python -m vidshift.data.prepare jester --source=DIR --out=datasets` makes the
records.

No recipe is published but "for other datasets, we scale the training epochs by half"
(section 5.1), of Kinetics' 100, which is what `configs/something_v1_tsm_resnet50.py` has;
all values are its. The official code flips no clip of Jester either.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("jester")
