"""GSF-ResNet-50 on Kinetics-400, 16 frames spread over the video.

    python -m vidshift.data.prepare kinetics400 --source=DIR --out=datasets
    python train.py --config=configs/kinetics_gsf_resnet50.py --workdir=runs/k400_gsf \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/k400_gsf --split=validation --protocol=10x3

74.81 % top-1 (Sudhakaran et al., TPAMI 2023, Table 9). Not measured by us.
"""

from vidshift.recipes import gsf


def get_config():
    return gsf.train("kinetics400", num_frames=16)
