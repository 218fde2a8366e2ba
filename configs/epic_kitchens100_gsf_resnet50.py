"""GSF-ResNet-50 on EPIC-Kitchens-100 (verb, noun, action), 16 frames, from Kinetics.

    vidshift prepare epic_kitchens100 --source=DIR --out=datasets
    vidshift train --config=epic_kitchens100_gsf_resnet50 \\
        --workdir=runs/epic_gsf --config.init=runs/k400_gsf
    vidshift eval --run=runs/epic_gsf --split=validation --protocol=2x3

68.76 % of verbs, 52.74 % of nouns, 44.04 % of actions (Sudhakaran et al., TPAMI 2023,
Table 10). Not measured by us. The Kinetics run is one of
`configs/kinetics_gsf_resnet50.py`; a ResNet-101 starts from an ImageNet network.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("epic_kitchens100", num_frames=16)
