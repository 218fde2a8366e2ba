"""TSM-ResNet-50 on the optical flow of Something-Something v1, 16 frames.

    python train.py --config=configs/something_v1_tsm_flow.py --workdir=runs/ssv1_flow \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv1_flow --split=validation

Then, with a run of `configs/something_v1_tsm_resnet50.py` and
`--config.data.num_frames=16`, the two-stream network:

    python eval.py --workdir=runs/ssv1_16f --workdir=runs/ssv1_flow --weights=1,1 \\
        --split=validation

The paper reports 52.6 % top-1 of both (Lin et al., ICCV 2019, Table 2), none of flow
alone, and no hardware; not measured by us. `python -m vidshift.data.prepare something_v1
--source=DIR --out=datasets --modality=flow` makes the records.

Stacks of 5 flows, their normalisation, scales of crops and flips are those of the official
code (ops/models.py, main.py); of training with flow neither it nor the paper says more,
nor how the streams are weighted (1 to 1 is the default of test_models.py): the rest is
`configs/something_v1_tsm_resnet50.py`'s. Not here: five times the learning rate of the
first convolution. Mirrored clips have their class swapped, which the official code forgets
with flow.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something_flow("something_v1")
