"""VSN-ResNet-50 on Something-Something v1, 8 frames: shuffled blocks among TSM's.

    python train.py --config=configs/something_v1_vsn_resnet50.py --workdir=runs/ssv1_vsn \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv1_vsn --split=validation --protocol=1-whole

The paper reports 46.6 % top-1 (Ma et al., 2019, Table 2), trained on 8 TITAN Xp with 8
clips each; not measured by us, and nor are the hours. Its other networks:

    ResNet-101 (47.8 %)                --config.model.backbone=resnet101
    TSN, the baseline (20.2 %)         --config.model.temporal=tsn
    headtail blocks (43.2 %, Table 7)  --config.model.shuffle_block=headtail
    fewer blocks (Table 8)             --config.model.shuffle_stages="(2,3)"
    shift alone (43.4 %, Table 9)      --config.model.temporal=tsm
    shuffle alone (46.0 %, Table 9)    --config.model.other_blocks=tsn

Table 8's figures are means over all choices of so many of the stages 0 to 3; its row of no
block (20.2 %) has no shift either. The ensemble of both depths (49.2 %), and a two-stream
network with a run of `configs/something_v1_vsn_flow.py` (51.6 %; 52.7 % with ResNet-101):

    python eval.py --workdir=runs/ssv1_vsn --workdir=runs/ssv1_vsn101 --weights=1,1 \\
        --split=validation --protocol=1-whole

`python -m vidshift.data.prepare something_v1 --source=DIR --out=datasets` makes the
records.

Values are those of section 3.4; there is no official code. It leaves open: the schedule
("both the multi-step learning rate decaying and cosine learning rate schedule with warm-up
depending on dataset") and the epochs, here those of TSM, whose blocks VSN's stand among;
multipliers and clipping, here TSM's; and how often a test takes a video's 8 frames and how
scores are averaged, here once. A cosine: `--config.optim.schedule=cosine
--config.optim.warmup_epochs=5`. Not here: clips whose class names a side are mirrored too,
with their class swapped; the paper leaves them as they are.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.rgb("something_v1")
