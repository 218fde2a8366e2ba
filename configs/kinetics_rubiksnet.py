"""RubiksNet-Large on Kinetics-400, 8 frames: what UCF-101 and HMDB-51 start from.

    python train.py --config=configs/kinetics_rubiksnet.py --workdir=runs/k400_rubiks \\
        --config.init=IMAGENET_2D_CHECKPOINT
    python eval.py --workdir=runs/k400_rubiks --split=validation

Other tiers: `--config.model.backbone=rubiksnet_medium` (or `rubiksnet_small`,
`rubiksnet_tiny`). By attention: `--config.model.variant=attention
--config.model.time_init=None --config.optim.attention.budget=0.125`.

The paper has a picture alone (Figure A7), and the official repository has weights without
figures; nothing was measured by us, and nor were the hours. `python -m
vidshift.data.prepare kinetics400 --source=DIR --out=datasets` makes the records.

The paper gives no recipe for Kinetics. Values are those of its Something-Something
(Fan et al., ECCV 2020, supplement A6; `configs/something_v2_rubiksnet.py` says what that
leaves open), with flips, as TSM's recipe has them, and frames spread over the video.
"""

from vidshift.data.sources.prepared import Prepared
from vidshift.training.config import (
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
    ShiftConfig,
)


def get_config() -> Config:
    return Config(
        # bfloat16 is ours: what TPUs multiply in; the recipe is float32.
        model=ModelConfig(
            backbone="rubiksnet_large",
            temporal="tsn",  # it shifts by itself
            variant="interpolated",
            time_init="tsm-g0.1",  # the official helper for 2-D weights
            dtype="bfloat16",
            dropout=0.3,
        ),
        data=DataConfig(
            name="kinetics400",
            options=Prepared(),
            # Papers report the validation split.
            test_split="",
            num_frames=8,
            resize=256,
            crop=224,
            scales=(1.0, 0.875, 0.75, 0.66),
            flip=True,
        ),
        optim=OptimConfig(
            lr=0.025,
            lr_batch_size=64,
            schedule="step",
            step_epochs=(26.0, 36.0),
            weight_decay=1e-4,
            clip_norm=None,
            groups="plain",
            shift=ShiftConfig(
                lr=0.01, warmup_epochs=1.0, gradient="paper", time_factor=0.1
            ),
        ),
        batch_size=64,
        eval_batch_size=64,
        epochs=40,
    )
