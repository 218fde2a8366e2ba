"""GSF-Inception-v3 on EPIC-Kitchens-100 (verb, noun, action), 16 frames, from Kinetics.

    vidshift train --config=epic_kitchens100_gsf_inception_v3 \\
        --workdir=runs/epic_gsf_v3 --config.init=runs/k400_gsf_v3
    vidshift eval --run=runs/epic_gsf_v3 --split=validation --protocol=2x3

68.35 % of verbs, 52.71 % of nouns, 43.42 % of actions (Sudhakaran et al., TPAMI 2023,
Table 10). Not measured by us. The Kinetics run is one of
`configs/kinetics_gsf_inception_v3.py`.

`--config.recipe=paper` has the paper's weight decay, 1e-4, in place of the code's 5e-4.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("epic_kitchens100", backbone="inception_v3", num_frames=16)
