"""VSN-ResNet-50 on Something-Something v2, 8 frames.

    python train.py --config=configs/something_v2_vsn_resnet50.py --workdir=runs/ssv2_vsn \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv2_vsn --split=validation --protocol=1-whole

The paper reports 60.6 % top-1, 61.6 % with `--config.model.backbone=resnet101`, 63.2 % of
both together, and with runs of `configs/something_v2_vsn_flow.py` 65.3 % (ResNet-50) and
65.8 % (ResNet-101) (Ma et al., 2019, Table 2); not measured by us. On the test split, for
which archives have answers by now, `--split=test`, both together have 64.6 % and the
two-stream ResNet-101 66.1 %. `python -m vidshift.data.prepare something_v2 --source=DIR
--out=datasets` makes the records. See `configs/something_v1_vsn_resnet50.py`.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.rgb("something_v2")
