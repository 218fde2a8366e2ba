"""Slow 8x8 R50 on Charades, from a Kinetics network: multi-label fine-tuning.

    python train.py --config=configs/charades_slow_8x8.py --workdir=runs/charades \\
        --config.init=runs/k400_a3d
    python eval.py --workdir=runs/charades --protocol=30-view --split=test

35.6 mAP from A3D-Slow-8x8, 34.7 from Slow 8x8, the largest score of 30 views (Zhu et al.,
2020, Table 3). Not measured by us. An A3D checkpoint is fine-tuned as the ordinary
network that it is. `python -m vidshift.data.prepare charades --source=DIR --out=datasets`
makes the records.

Values are those of the official code's SlowFast on Charades, with half its batch and
learning rate, as A3D trains on 4 GPUs: which config A3D took for Slow 8x8 it does not say.
Of Charades' frames, 24 a second, a clip there has every eighth out of 57, and a test's
clips reach the video's end; here they are taken as Kinetics' are.
"""

from vidshift.recipes import slow


def get_config():
    return slow.charades()
