"""TSM in a ResNet-18 on a folder of your own videos, from nothing, on any machine.

    vidshift prepare folder --source my_videos --out datasets
    vidshift train --config=folder --workdir=runs/mine

`my_videos` has a sub-folder for each class (`my_videos/jumping/clip 1.mp4`), or a CSV
of file, label and optional start and end. Clips are flipped, "swipe left" to "swipe
right"; `--config.data.flip=false` or `--config.data.mirror` where that is wrong. Time
and accuracy depend on the videos. A few hundred clips need a network trained on others:
`--config.init=RUN`, an earlier run or an official checkpoint turned by
`vidshift convert`, with its `--config.model.backbone`. On a GPU or TPU,
`--config.model.backbone=resnet50 --config.data.resize=256 --config.data.crop=224` is
the usual size.
"""

from vidshift.recipes import small


def get_config():
    return small.folder()
