"""GSF-Inception-v3 on EPIC-Kitchens-100: verb, noun and action, 16 frames, from Kinetics.

    python train.py --config=configs/epic_kitchens100_gsf_inception_v3.py \\
        --workdir=runs/epic_gsf_v3 --config.init=runs/k400_gsf_v3
    python eval.py --workdir=runs/epic_gsf_v3 --split=validation --protocol=2x3

The Kinetics run is one of `configs/kinetics_gsf_inception_v3.py`. The paper reports 68.35 %
of verbs, 52.71 % of nouns and 43.42 % of actions (Sudhakaran et al., TPAMI 2023, Table
10); not measured by us. See `configs/epic_kitchens100_gsf_resnet50.py`.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("epic_kitchens100", backbone="inception_v3", num_frames=16)
