"""VSN-ResNet-50 on the optical flow of Kinetics-400, 8 stacks of 5.

    python train.py --config=configs/kinetics_vsn_flow.py --workdir=runs/k400_vsn_flow \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/k400_vsn_flow --split=validation --protocol=1-whole

The paper reports (Ma et al., 2019, Table 5) 56.7 % top-1, 60.1 % with
`--config.model.backbone=resnet101`; with one flow a frame,
`--config.data.options.stack=1`, 53.0 % and 56.0 %; and of TSN,
`--config.model.temporal=tsn`, 54.8 % and 56.5 % of five flows, 47.5 % and 49.7 % of one.
With a ResNet-101 of `configs/kinetics_vsn_resnet50.py` the two-stream network has 77.6 %
(Table 3). Not measured by us. `python -m vidshift.data.prepare kinetics400 --source=DIR
--out=datasets --modality=flow` makes the records. See `configs/something_v1_vsn_flow.py`.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.flow("kinetics400")
