"""Slow 8x8 R50 on Kinetics-400 from scratch: the baseline of A3D.

    python train.py --config=configs/kinetics_slow_8x8.py --workdir=runs/k400_slow
    python eval.py --workdir=runs/k400_slow --protocol=30-view --split=validation

74.8 % top-1 with 30 views of 256 pixels (Feichtenhofer et al., ICCV 2019, Table 3); 74.2
% in A3D's reproduction, with 4 % fewer training videos (Table 1), on 8 GPUs in 58 minutes
an epoch (Table 2). Not measured by us. `python -m vidshift.data.prepare kinetics400
--source=DIR --out=datasets` makes the records.

Values are those of the official code's config of this name. A clip has 8 frames of 64, at
30 frames a second; of validation's single clip the place is fixed here, and drawn there.
"""

from vidshift.data.sources.prepared import Prepared
from vidshift.training.config import Config, DataConfig, ModelConfig, OptimConfig


def get_config() -> Config:
    return Config(
        # bfloat16 is ours: what TPUs multiply in; the recipe is float32.
        model=ModelConfig(
            backbone="slow_8x8_r50",
            temporal="tsn",  # it mixes time by itself
            dtype="bfloat16",
            dropout=0.5,
            head_size=224,
        ),
        data=DataConfig(
            name="kinetics400",
            options=Prepared(),
            # Papers report the validation split.
            test_split="",
            sampling="strided",
            num_frames=8,
            frame_stride=8,
            resize=256,
            crop=224,
            short_sides=(256, 320),
            flip=True,
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
            groups="plain",
        ),
        batch_size=64,
        epochs=196,
        validate_epochs=4,
    )
