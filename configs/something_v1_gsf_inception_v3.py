"""GSF-Inception-v3 on Something-Something v1, 8 frames; the official code's recipe.

    python train.py --config=configs/something_v1_gsf_inception_v3.py \\
        --workdir=runs/ssv1_gsf_v3 --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv1_gsf_v3 --split=validation
    python eval.py --workdir=runs/ssv1_gsf_v3 --split=validation --protocol=2x3

The paper reports 51.52 % top-1 by the first test and 52.53 % by the second, and with
`--config.data.num_frames=16` 53.13 % and 54.09 % (Sudhakaran et al., TPAMI 2023, Table 8);
it names no hardware. Not measured by us. GSM is `--config.model.temporal=gsm`: its code
reports 49.01 % with 8 frames, without RandAugment (`--config.data.augment.rand_ops=0`).

Values are those of `configs/something_v1_gsf_bn_inception.py` and
`configs/something_v1_gsf_resnet50.py`, with the official code's size.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("something_v1", backbone="inception_v3")
