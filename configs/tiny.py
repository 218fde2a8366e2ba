"""The quick start: TSM in a small ResNet on `ordered_motion`, on any machine.

    python train.py

Two to three minutes on two CPU cores; 100 % of the test clips right (measured, see the
README).

`--config.model.temporal=tsn` is the same network without a view of time, which cannot
tell a clip from the same clip played backwards.
"""

from vidshift.data.sources.motion_clips import OrderedMotion
from vidshift.training.config import Config, DataConfig, ModelConfig, OptimConfig


def get_config() -> Config:
    return Config(
        model=ModelConfig(backbone="resnet_tiny", temporal="tsm", dropout=0.0),
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
        batch_size=32,
        eval_batch_size=64,
        epochs=6,
    )
