"""Small networks that train from scratch on any machine."""

from vidshift.config import AdaptiveConfig, Config, DataConfig, ModelConfig, OptimConfig
from vidshift.data.sources.arrow_of_time import ArrowOfTime
from vidshift.data.sources.motion_clips import OrderedMotion
from vidshift.recipes import clips


def ordered_motion(backbone: str = "resnet_tiny", temporal: str = "tsm") -> Config:
    """Returns the quick start: clips that are made on the fly and need no files."""
    return Config(
        model=ModelConfig(backbone=backbone, temporal=temporal, dropout=0.0),
        data=DataConfig(
            name="ordered_motion",
            options=OrderedMotion(side=32, frames=24),
            num_frames=8,
            resize=32,
            crop=32,
        ),
        optim=OptimConfig(lr=0.1, lr_batch_size=32, warmup_epochs=0.25),
        # On a CPU a step costs what its clips cost: 900 steps of 16 clips take as long as
        # 450 of 32, and get further. TSM is done after 3 epochs; TSN finds what moves
        # (80 % of the right pairs) only then.
        batch_size=16,
        eval_batch_size=64,
        epochs=4,
    )


def ordered_motion_a3d() -> Config:
    """Returns the quick start of A3D, whose sub-networks need more epochs."""
    config = ordered_motion("slow_tiny", "tsn")  # it mixes time by itself
    config.batch_size, config.epochs = 32, 6
    config.adaptive = AdaptiveConfig(
        mode="mutual",
        widths=(0.5, 0.75, 1.0),
        sides=(24, 32),
        frames=(4, 8),
        calibration_batches=30,
    )
    return config


def folder() -> Config:
    """Returns a ResNet-18 with TSM for a folder of a user's own videos."""
    return Config(
        model=ModelConfig(backbone="resnet18", temporal="tsm", dropout=0.5),
        data=clips.rgb("folder", resize=128, crop=112, test_split="test"),
        optim=OptimConfig(lr=0.02, lr_batch_size=64, warmup_epochs=1.0),
        batch_size=16,
        eval_batch_size=16,
        epochs=30,
    )


def arrow_of_time() -> Config:
    """Returns the direction of time by a ResNet-18 with TSM, for videos without labels."""
    config = folder()
    # All frames of a window, and nothing from beside it: its sides are 128 pixels at least.
    config.data = clips.rgb(
        "arrow_of_time",
        options=ArrowOfTime(),
        num_frames=8,
        resize=128,
        crop=112,
        test_split="test",
    )
    return config


def arrow_of_time_mobilenet_v2() -> Config:
    """Returns the direction of time by MobileNetV2 on small frames, for two CPU cores."""
    config = arrow_of_time()
    config.model = ModelConfig(backbone="mobilenet_v2", temporal="tsm", dropout=0.0)
    config.data.resize, config.data.crop = 72, 64
    config.optim = OptimConfig(lr=0.01, lr_batch_size=16, warmup_epochs=0.5)
    config.epochs = 8
    return config
