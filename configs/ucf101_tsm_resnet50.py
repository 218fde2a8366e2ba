"""TSM-ResNet-50 on UCF-101, 8 frames, from Kinetics; the official code's recipe.

    python train.py --config=configs/ucf101_tsm_resnet50.py --workdir=runs/ucf101 \\
        --config.init=runs/k400
    python eval.py --workdir=runs/ucf101 --split=test_1 --protocol=2x3-full

The Kinetics run is one of `configs/kinetics_tsm_resnet50.py` (frames of the whole video,
as in the official script), or an official checkpoint turned by `python -m
vidshift.convert`. The official code's lists are of the first split; the others:
`--config.data.train_split=train_2 --config.data.validation_split=test_2` and `_3`.

The paper reports 95.9 % top-1 and 99.7 % top-5 with two clips at full resolution (Lin et
al., ICCV 2019, Table 1), without saying of which splits or on what hardware; 91.7 % of
TSN, `--config.model.temporal=tsn`, and 95.5 % online, `--config.model.causal=true` (Table
6), both from a Kinetics run of the same. Not measured by us. `python -m
vidshift.data.prepare ucf101 --source=DIR --out=datasets` makes the records.

Values are those of scripts/finetune_tsm_ucf101_rgb_8f.sh and the defaults of opts.py in
github.com/mit-han-lab/temporal-shift-module, and else of
`configs/kinetics_tsm_resnet50.py`.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.finetune("ucf101")
