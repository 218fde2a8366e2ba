"""A3D on `ordered_motion`: one small Slow network for every budget, on any machine.

    python train.py --config=configs/tiny_a3d.py --workdir=runs/a3d
    python -m vidshift.budgets --workdir=runs/a3d

Every step trains the network, the narrowest sub-network and one random one; the second
command tables what each sub-network costs and how good it is. On two CPU cores see
docs/a3d.md, with `--config.adaptive.mode=off` (the same network alone) beside it.
"""

from configs import tiny
from vidshift.training.config import AdaptiveConfig, Config


def get_config() -> Config:
    config = tiny.get_config()
    config.model.backbone = "slow_tiny"
    config.model.temporal = "tsn"  # it mixes time by itself
    config.adaptive = AdaptiveConfig(
        mode="mutual",
        widths=(0.5, 0.75, 1.0),
        sides=(24, 32),
        frames=(4, 8),
        calibration_batches=30,
    )
    return config
