"""VSN-ResNet-50 on the optical flow of Something-Something v1, 8 stacks of 5.

    python train.py --config=configs/something_v1_vsn_flow.py --workdir=runs/ssv1_vsn_flow \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv1_vsn_flow --split=validation --protocol=1-whole

Then, with a run of `configs/something_v1_vsn_resnet50.py`, the two-stream network:

    python eval.py --workdir=runs/ssv1_vsn --workdir=runs/ssv1_vsn_flow --weights=1,1 \\
        --split=validation --protocol=1-whole

The paper reports (Ma et al., 2019, Table 5) 37.5 % top-1, 41.4 % with
`--config.model.backbone=resnet101`; with one flow a frame,
`--config.data.options.stack=1`, 33.7 % and 36.1 %; and of TSN,
`--config.model.temporal=tsn`, 34.3 % and 34.3 % of five flows, 27.0 % and 29.2 % of one.
Table 2 has 38.8 % for ResNet-50, which is none of Table 5's. Not measured by us.
`python -m vidshift.data.prepare something_v1 --source=DIR --out=datasets --modality=flow`
makes the records.

Segments are sampled "like RGB" (section 4.4), and no other value is given: they are those
of `configs/something_v1_vsn_resnet50.py`, and what flow needs is TSN's and TSM's
(normalisation, one scale of crops fewer). How the streams are weighted it does not say.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.flow("something_v1")
