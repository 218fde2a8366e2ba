"""TSM-ResNet-50 on Something-Something v1, 8 frames; the official code's recipe.

    python train.py --config=configs/something_v1_tsm_resnet50.py --workdir=runs/ssv1 \\
        --config.init=IMAGENET_CHECKPOINT
    python eval.py --workdir=runs/ssv1 --split=validation
    python eval.py --workdir=runs/ssv1 --split=validation --protocol=2x3-full

On a v5e slice of 256 chips add `--config.batch_size=2048 --config.eval_batch_size=2048`
(eight clips a chip; the learning rate follows the batch). Before renting:

    python -m vidshift.fit --config configs/something_v1_tsm_resnet50.py --target v5e \\
        --chips 256 --config.batch_size=2048 --config.eval_batch_size=2048

The official code's README reports 45.6 % top-1 with one centre crop a video, 47.2 % with
two clips at full resolution (Lin et al., ICCV 2019, has 47.3 %, Table 1); neither names
hardware. Not measured by us, and nor are the hours. What else they have, by a flag:

    16 frames    47.2 %, 48.4 %       --config.data.num_frames=16
    TSN          19.7 %, 20.5 %       --config.model.temporal=tsn
    online       two clips: 46.3 %    --config.model.causal=true (Table 6)
    I3D          one crop: 44.9 %     --config.model.temporal=i3d (Table 5)
    ResNet-101   46.9 %, 48.7 %       --config.model.backbone=resnet101

The ensemble of 8 and 16 frames (49.7 %, Table 2), and a two-stream network with a run of
`configs/something_v1_tsm_flow.py`:

    python eval.py --workdir=runs/ssv1 --workdir=runs/ssv1_16f --weights=1,1 \\
        --split=validation

`python -m vidshift.data.prepare something_v1 --source=DIR --out=datasets` makes the
records.

Values are those of github.com/mit-han-lab/temporal-shift-module, its README's command
for Something-Something and the defaults of its opts.py, where no other source is given.
"""

from vidshift.recipes import tsm


def get_config():
    return tsm.something("something_v1")
