"""TSM-ResNet-50 on Kinetics-400, 8 frames spread over the video; the official recipe.

    python train.py --config=configs/kinetics_tsm_resnet50.py --workdir=runs/k400 \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/k400 --split=validation
    python eval.py --workdir=runs/k400 --split=validation --protocol=1x10

On a v5e slice of 256 chips add `--config.batch_size=2048 --config.eval_batch_size=2048`
(eight clips a chip; the learning rate follows the batch). Before renting:

    python -m vidshift.fit --config configs/kinetics_tsm_resnet50.py --target v5e \\
        --chips 256 --config.batch_size=2048 --config.eval_batch_size=2048

The official code's README reports 71.2 % top-1 with one crop and 72.8 % with ten, and with
`--config.data.num_frames=16` 72.6 % and 73.7 %; of TSN, `--config.model.temporal=tsn`,
68.8 % and 69.9 %, trained with `--config.data.num_frames=5` and tested with 8 (not here).
It names no hardware. Not measured by us, and nor are the hours. The 74.1 % of the paper are
those of `configs/kinetics_tsm_resnet50_dense.py`. `python -m vidshift.data.prepare
kinetics400 --source=DIR --out=datasets` makes the records.

Values are those of scripts/train_tsm_kinetics_rgb_8f.sh and the defaults of opts.py in
github.com/mit-han-lab/temporal-shift-module, where no other source is given.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.kinetics()
