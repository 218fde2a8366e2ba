"""TSM-ResNet-50 on Something-Something v2, 8 frames; the official code's recipe.

    python train.py --config=configs/something_v2_tsm_resnet50.py --workdir=runs/ssv2 \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv2 --split=validation
    python eval.py --workdir=runs/ssv2 --split=validation --protocol=2x3-full

On a v5e slice of 256 chips add `--config.batch_size=2048 --config.eval_batch_size=2048`
(eight clips a chip; the learning rate follows the batch). Before renting:

    python -m vidshift.fit --config configs/something_v2_tsm_resnet50.py --target v5e \\
        --chips 256 --config.batch_size=2048 --config.eval_batch_size=2048

The official code's README reports 61.2 % top-1 with two clips a video at full resolution
(Lin et al., ICCV 2019, has 61.7 %, Table 1) and 63.1 % with `--config.data.num_frames=16`
(63.4 %, Table 4); neither names hardware. One centre crop has 59.1 %, as it seems (Table
4), and TSN, `--config.model.temporal=tsn`, 30.0 % and 30.4 %. With flow:
`configs/something_v2_tsm_flow.py`. On the test split, for which archives have answers by
now, `--split=test`, 16 frames have 64.3 %. Not measured by us, and nor are the hours.
`python -m vidshift.data.prepare something_v2 --source=DIR --out=datasets` makes the
records.

Values are those of github.com/mit-han-lab/temporal-shift-module, its README's command
for Something-Something and the defaults of its opts.py, where no other source is given.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("something_v2")
