"""GSF-ResNet-50 on Kinetics-400, 16 frames spread over the video.

    python train.py --config=configs/kinetics_gsf_resnet50.py --workdir=runs/k400_gsf \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/k400_gsf --split=validation --protocol=10x3

The paper reports 74.81 % top-1 (Sudhakaran et al., TPAMI 2023, Table 9); not measured by
us. The official code draws the 10 clips' frames at random, here their places are fixed.
`python -m vidshift.data.prepare kinetics400 --source=DIR --out=datasets` makes the
records. "We use the same setting for training GSFs on all the datasets" (section 4.2):
`configs/something_v1_gsf_resnet50.py`.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("kinetics400", num_frames=16)
