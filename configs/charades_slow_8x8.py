"""Slow 8x8 R50 on Charades, from a Kinetics network: multi-label fine-tuning.

    python train.py --config=configs/charades_slow_8x8.py --workdir=runs/charades \\
        --config.init=runs/k400_a3d
    python eval.py --workdir=runs/charades --protocol=10x3

35.6 mAP from A3D-Slow-8x8, 34.7 from Slow 8x8, the largest score of 30 views (Zhu et al.,
2020, Table 3). Not measured by us. An A3D checkpoint is fine-tuned as the ordinary network
that it is. The data set's builder is not written yet: until it is, `train.py` says that
there is no such data set.

Values are those of the official code's SlowFast on Charades, with half its batch and
learning rate, as A3D trains on 4 GPUs: which config A3D took for Slow 8x8 it does not say.
Not here yet: a short side drawn from 256 to 340 pixels.
"""

from vidshift.training.config import Config, DataConfig, ModelConfig, OptimConfig


def get_config() -> Config:
    return Config(
        model=ModelConfig(
            backbone="slow_8x8_r50",
            temporal="tsn",  # it mixes time by itself
            dtype="bfloat16",
            dropout=0.5,
        ),
        data=DataConfig(
            name="charades",
            test_split="",
            num_frames=8,
            resize=256,
            crop=224,
            flip=True,
            mean=(0.45, 0.45, 0.45),
            std=(0.225, 0.225, 0.225),
        ),
        optim=OptimConfig(
            lr=0.01875,
            schedule="step",
            step_epochs=(41.0, 49.0),
            step_factor=0.1,
            warmup_epochs=4.0,
            warmup_lr=1e-4,
            nesterov=True,
            weight_decay=1e-4,
            clip_norm=None,
            groups="plain",
        ),
        batch_size=8,
        epochs=57,
    )
