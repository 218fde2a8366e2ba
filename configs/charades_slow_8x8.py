"""Slow 8x8 R50 on Charades, from a Kinetics network: multi-label fine-tuning.

    vidshift prepare charades --source=DIR --out=datasets
    vidshift train --config=charades_slow_8x8 --workdir=runs/charades \\
        --config.init=runs/k400_a3d
    vidshift eval --run=runs/charades --protocol=30-view --split=test

35.6 mAP from A3D-Slow-8x8, 34.7 from Slow 8x8, the largest score of 30 views (Zhu et
al., 2020, Table 3). Not measured by us. An A3D checkpoint is fine-tuned as the ordinary
network that it is.
"""

from vidshift.recipes import slow


def get_config():
    return slow.charades()
