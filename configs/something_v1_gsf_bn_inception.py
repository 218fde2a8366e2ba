"""GSF-BN-Inception on Something-Something v1, 8 frames; the official code's recipe.

    python train.py --config=configs/something_v1_gsf_bn_inception.py \\
        --workdir=runs/ssv1_gsf_bn --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv1_gsf_bn --split=validation
    python eval.py --workdir=runs/ssv1_gsf_bn --split=validation --protocol=2x3

The paper reports 48.44 % top-1 by the first test and 50.17 % by the second, and with
`--config.data.num_frames=16` 50.63 % and 51.51 % (Sudhakaran et al., TPAMI 2023, Table 8);
it names no hardware. Not measured by us. Its studies of the design, by the first test:

    branches 1 to 3, all of them       47.92, 47.97, 48.05, 46.55 % (Table 1)
        --config.model.place=pool (double_3x3, 3x3, all), see vidshift/shifts/gated.py
    12.5, 25, 50, 75 % of channels     45.62, 47.09, 47.65, 48.14 % (Table 2)
        --config.model.ratio=0.125 (0.25, 0.5, 0.75)
    GSM                                47.24 % (Table 5)
        --config.model.temporal=gsm
    a gate of 1, -1, 0                 45.57, 45.89, 17.25 % (Table 5)
        --config.model.fusion=sum --config.model.gate=1 (-1, 0)
    the last 1 or 5 blocks, or none    31.9, 45.24, 17.25 % (Table 6)
        --config.model.modules=1 (5); --config.model.temporal=tsn

TSN with 16 frames has 17.44 % (Table 8). Values are those of
`configs/something_v1_gsf_resnet50.py`, which says what is not here, with the pixels that
BN-Inception's weights from Caffe take: from 0 to 255, less their mean. (Theirs are BGR;
`python -m vidshift.convert` turns the first convolution round.)
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v1", backbone="bn_inception")
