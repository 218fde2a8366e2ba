"""A3D on `ordered_motion`: one small Slow network for every budget, on any machine.

    python train.py --config=configs/tiny_a3d.py --workdir=runs/a3d
    python -m vidshift.budgets --workdir=runs/a3d

Every step trains the network, the narrowest sub-network and one random one; the second
command tables what each sub-network costs and how good it is. On two CPU cores see
docs/a3d.md, with `--config.adaptive.mode=off` (the same network alone) beside it.
"""

from vidshift.data.motion_clips import OrderedMotion
from vidshift.training.config import (
    AdaptiveConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimConfig,
)


def get_config() -> Config:
    return Config(
        model=ModelConfig(
            backbone="slow_tiny",
            temporal="tsn",  # it mixes time by itself
            dropout=0.0,
        ),
        data=DataConfig(
            name="ordered_motion",
            options=OrderedMotion(side=32, frames=24),
            num_frames=8,
            resize=32,
            crop=32,
        ),
        optim=OptimConfig(
            lr=0.1,
            lr_batch_size=32,
            warmup_epochs=0.25,
            weight_decay=5e-4,
            clip_norm=20.0,
        ),
        adaptive=AdaptiveConfig(
            mode="mutual",
            widths=(0.5, 0.75, 1.0),
            sides=(24, 32),
            frames=(4, 8),
            calibration_batches=30,
        ),
        batch_size=32,
        eval_batch_size=64,
        epochs=6,
    )
