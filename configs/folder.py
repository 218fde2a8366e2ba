"""TSM in a ResNet-18 on a folder of your own videos, from nothing, on any machine.

    python -m vidshift.data.prepare folder --source my_videos --out datasets
    python train.py --config=configs/folder.py --workdir=runs/mine

`my_videos` has a sub-folder for each class (`my_videos/jumping/clip 1.mp4`), or a CSV of
file, label and optional start and end. Clips are flipped, "swipe left" to "swipe right";
`--config.data.flip=false` or `--config.data.mirror` where that is wrong. How long it takes and how well it does depend on
the videos; a few hundred clips want a network that has seen others:
`--config.init=RUN`, where RUN is an earlier run or an official checkpoint turned by
`python -m vidshift.convert`, with its `--config.model.backbone`. On a GPU or TPU,
`--config.model.backbone=resnet50 --config.data.resize=256 --config.data.crop=224` is the
usual size.
"""

from vidshift.data.sources.prepared import Prepared
from vidshift.training.config import Config, DataConfig, ModelConfig, OptimConfig


def get_config() -> Config:
    return Config(
        model=ModelConfig(backbone="resnet18", temporal="tsm", dropout=0.5),
        data=DataConfig(
            name="folder",
            options=Prepared(),
            num_frames=8,
            resize=128,
            crop=112,
            scales=(1.0, 0.875, 0.75, 0.66),
        ),
        optim=OptimConfig(
            lr=0.02, lr_batch_size=64, warmup_epochs=1.0, weight_decay=5e-4
        ),
        batch_size=16,
        eval_batch_size=16,
        epochs=30,
    )
