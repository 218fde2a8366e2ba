"""GSF-ResNet-50 on EPIC-Kitchens-100: verb, noun and action, 16 frames, from Kinetics.

    python train.py --config=configs/epic_kitchens100_gsf_resnet50.py \\
        --workdir=runs/epic_gsf --config.init=runs/k400_gsf
    python eval.py --workdir=runs/epic_gsf --split=validation --protocol=2x3

The Kinetics run is one of `configs/kinetics_gsf_resnet50.py`. The paper reports 68.76 % of
verbs, 52.74 % of nouns and 44.04 % of actions (Sudhakaran et al., TPAMI 2023, Table 10);
69.97, 54.01 and 44.78 % with `--config.model.backbone=resnet101`, which starts from an
ImageNet network (`--config.init=IMAGENET_CHECKPOINT`). Not measured by us. Its rows of TSN
(33.19 % of actions) and TSM (38.27 %), `--config.model.temporal=tsn` and `tsm`, are of the
data set's own paper, by a recipe that is not here. `python -m vidshift.data.prepare
epic_kitchens100 --source=DIR --out=datasets` makes the records.

"All models are trained with 16 frames as a multitask problem" (section 4.5); the code of
that was not released. Here one head has the classes of the three tasks, whose losses are
added, and `top1` is the action's. Other values: `configs/something_v1_gsf_resnet50.py`.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("epic_kitchens100", num_frames=16)
