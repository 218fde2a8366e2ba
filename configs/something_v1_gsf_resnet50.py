"""GSF-ResNet-50 on Something-Something v1, 8 frames; the official code's recipe.

    python train.py --config=configs/something_v1_gsf_resnet50.py --workdir=runs/ssv1_gsf \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv1_gsf --split=validation
    python eval.py --workdir=runs/ssv1_gsf --split=validation --protocol=2x3

The paper reports 50.17 % top-1 by the first test and 51.53 % by the second, and with
`--config.data.num_frames=16` 51.54 % and 52.33 % (Sudhakaran et al., TPAMI 2023, Table 8);
it names no hardware. Not measured by us. Its studies of the design, by the first test:

    after conv1, conv2, conv3, all     46.95, 47.15, 47.63, 46.26 % (Table 3)
        --config.model.ratio=1.0 --config.model.place=conv1 (conv2, conv3, all)
    12.5, 50, 75 % of the channels     49.17, 50.08, 49.63 % (Table 4)
        --config.model.ratio=0.125 (0.5, 0.75)
    the last 4 or 8 blocks, or none    45.97, 48.54, 17.22 % (Table 7)
        --config.model.modules=4 (8); --config.model.temporal=tsn

`python -m vidshift.data.prepare something_v1 --source=DIR --out=datasets` makes the
records.

Values are those of github.com/swathikirans/GSF, its README's command and the defaults of
its utils/opts.py, where no other source is given. Not here: the official learning rate
stays the same for an epoch (here it changes step by step), RandAugment comes before the
crop (here after it), and ResNet-50 with MotionSqueeze (Table 8) was not released.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v1")
