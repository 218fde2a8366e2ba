"""VSN-ResNet-50 on Kinetics-400, 8 frames spread over the video.

    python train.py --config=configs/kinetics_vsn_resnet50.py --workdir=runs/k400_vsn \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/k400_vsn --split=validation --protocol=1-whole

The paper reports 73.5 % top-1 and 91.3 % top-5 (Ma et al., 2019, Table 3); not measured by
us. Its other networks, by the flags of `configs/something_v1_vsn_resnet50.py`: ResNet-101
75.4 %, with flow (`configs/kinetics_vsn_flow.py`) 77.6 %; TSN 71.5 % (ResNet-101: 72.8 %);
headtail 72.1 % (74.0 %); 1, 2 and 3 shuffled blocks 72.2, 73.0 and 72.8 %; shift alone
72.4 %, shuffle alone 73.3 % (Tables 7 to 9). `python -m vidshift.data.prepare kinetics400
--source=DIR --out=datasets` makes the records.

Values, what the paper leaves open and its hardware: `configs/something_v1_vsn_resnet50.py`.
"""

from vidshift.recipes import vsn


def get_config():
    return vsn.rgb("kinetics400")
