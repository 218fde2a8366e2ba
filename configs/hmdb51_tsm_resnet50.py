"""TSM-ResNet-50 on HMDB-51, 8 frames, from Kinetics.

    python train.py --config=configs/hmdb51_tsm_resnet50.py --workdir=runs/hmdb51 \\
        --config.init=runs/k400
    python eval.py --workdir=runs/hmdb51 --split=test_1 --protocol=2x3-full

The paper reports 73.5 % top-1 and 94.3 % top-5 with two clips at full resolution (Lin et
al., ICCV 2019, Table 1), without saying of which splits or on what hardware; 64.7 % of
TSN, `--config.model.temporal=tsn`, and 73.6 % online, `--config.model.causal=true` (Table
6), both from a Kinetics run of the same. Not measured by us. `python -m
vidshift.data.prepare hmdb51 --source=DIR --out=datasets` makes the records.

The official code has no script of it; its author answers there that it is UCF-101's
recipe: `configs/ucf101_tsm_resnet50.py`.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.finetune("hmdb51")
