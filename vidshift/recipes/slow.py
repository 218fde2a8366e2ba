"""Slow and SlowFast (Feichtenhofer et al., ICCV 2019) and A3D (Zhu et al., 2020)."""

from vidshift.config import AdaptiveConfig, Config, ModelConfig, OptimConfig
from vidshift.recipes import clips

# Frames of a clip and their distance. A clip covers 64 frames; SlowFast's Fast pathway
# sees 32 of them, its Slow one every eighth of those.
SAMPLING = {"slow_8x8_r50": (8, 8), "slowfast_4x16_r50": (32, 2)}


def kinetics(backbone: str = "slow_8x8_r50") -> Config:
    """Returns the official code's config of this name, from scratch on Kinetics-400.

    Frames are taken at 30 a second. Of validation's single clip the place is fixed here,
    and drawn there.
    """
    if backbone not in SAMPLING:
        raise ValueError(f"backbone must be one of {[*SAMPLING]}, got {backbone!r}")
    num_frames, frame_stride = SAMPLING[backbone]
    return Config(
        model=ModelConfig(
            backbone=backbone,
            temporal="tsn",  # it mixes time by itself
            dtype="bfloat16",
            dropout=0.5,
            head_size=224,
        ),
        data=clips.rgb(
            "kinetics400",
            sampling="strided",
            num_frames=num_frames,
            frame_stride=frame_stride,
            scales=(),
            short_sides=(256, 320),
            mean=(0.45, 0.45, 0.45),
            std=(0.225, 0.225, 0.225),
        ),
        optim=OptimConfig(
            lr=0.1,
            lr_batch_size=64,
            schedule="cosine_from_start",
            warmup_epochs=34.0,
            warmup_lr=0.01,
            nesterov=True,
            weight_decay=1e-4,
            clip_norm=None,
            groups="slowfast",
        ),
        batch_size=64,
        epochs=196,
        validate_epochs=4,
    )


def a3d(
    backbone: str = "slow_8x8_r50",
    *,
    widths: tuple[float, ...] = (0.63, 0.73, 0.83, 0.93, 1.0),
    sides: tuple[int, ...] = (142, 178, 224),
    frames: tuple[int, ...] = (3, 5, 8),
    mode: str = "mutual",
) -> Config:
    """Returns `kinetics` for a network trained with its sub-networks.

    Widths are drawn from all of the interval that `widths` span, as in the paper. The
    widths between are those of its tables; a program is compiled for each of them at each
    resolution. Sides, frames and widths of a SlowFast are the Slow pathway's; the Fast one
    stays whole.

    The head is that of `kinetics`, with which the paper compares: at 256 pixels both
    pool windows of 7 x 7 places and average their softmax, as the official code does.
    """
    config = kinetics(backbone)
    config.adaptive = AdaptiveConfig(
        mode=mode, widths=widths, width_draw="uniform", sides=sides, frames=frames
    )
    return config


def charades() -> Config:
    """Returns the recipe for multi-label fine-tuning on Charades, from a Kinetics run.

    Values are those of the official code's SlowFast on Charades, with half its batch and
    learning rate, as A3D trains on 4 GPUs; which config A3D took for Slow 8x8 it does
    not say. Of Charades' frames, 24 a second, the official code's training clip has
    every eighth out of 57, and its test clips reach the video's end; here clips are
    taken as Kinetics' are.
    """
    config = kinetics()
    config.model.head_size = None  # which averages a softmax
    config.data.name = "charades"
    config.data.validation_split = "test"
    config.data.stride_fps = 24.0  # of the data set's frames
    config.data.short_sides = (256, 340)
    config.data.inverse_short_sides = True
    config.optim = OptimConfig(
        lr=0.01875,
        schedule="step",
        step_epochs=(41.0, 49.0),
        warmup_epochs=4.0,
        warmup_lr=1e-4,
        nesterov=True,
        weight_decay=1e-4,
        clip_norm=None,
        groups="slowfast",
    )
    config.batch_size = 8
    config.epochs = 57
    config.validate_epochs = 1
    return config
