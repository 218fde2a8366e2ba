"""Turns a data set as distributed into records that training reads.

    vidshift prepare something_v2 --source ~/Downloads/ssv2 --out datasets
    vidshift prepare folder --source my_videos --out datasets
    vidshift prepare arrow_of_time --source videos --out datasets
    vidshift prepare kinetics400 --source k400 --check

NAME is a data set of vidshift.data.annotations, whose file there says what is expected
below --source; `folder` is any folder of videos, a sub-folder for each class, or a CSV
of file, label and optional start and end. An interrupted preparation goes on when it is
started again with the same arguments, and ends with the same bytes. What cannot be
decoded is left out, counted and listed.

For `folder`, the class of a mirror image is read from the names ("swipe left", "swipe
right"), and printed. --mirror="swipe left=swipe right" says what the names do not, and
--mirror="right hook=right hook" that a class is its own mirror image; given again, with
other pairs, it changes nothing but them.

`arrow_of_time` cuts windows out of any videos, and labels them by the direction and the
speed they are played at. It is for training without labels.
"""

import pathlib

from vidshift.command_line.arguments import count

PROGRAM = "vidshift.data.prepare"


def add_arguments(parser):
    add = parser.add_argument
    add("name", metavar="NAME", help="something_v2, kinetics400, folder, ...")
    add("--source", required=True, type=pathlib.Path, metavar="DIR")
    add("--out", metavar="DIR", help="of all prepared data sets (config.data.dir)")
    add(
        "--storage",
        choices=("fast", "copy", "frames", "keyframes"),
        help="fast (the default): H.264, a keyframe every 4 frames, short side 256; "
        "copy: the file as it is; frames: a JPEG each frame; keyframes: of arrow_of_time",
    )
    add(
        "--modality",
        choices=("rgb", "flow"),
        default="rgb",
        help="flow: TV-L1, of each frame to the next (the extra [flow])",
    )
    add("--workers", type=count, metavar="N", help="default: all cores")
    add("--check", action="store_true", help="decode every clip, write nothing")
    add("--retry", action="store_true", help="try again what was left out")
    add("--csv", metavar="FILE", help="of folder: file, label, start, end, split")
    for split in ("validation", "test"):
        add(
            f"--{split}-share", type=float, metavar="X", help="of folder (default: 0.1)"
        )
    add(
        "--mirror",
        action="append",
        metavar="CLASS=CLASS",
        help="of folder: two classes that are each other's mirror image; as often as "
        "needed",
    )
    add("--fps", type=float, metavar="X", help="of folder's clips that are frames")
    add("--frames", type=count, metavar="N", help="of arrow_of_time's windows (8)")
    add("--rate", type=float, metavar="X", help="of them, frames a second (12)")
    add(
        "--stride",
        type=float,
        metavar="SECONDS",
        help="from one of their places to the next (default: half a window)",
    )
    add("--side", type=count, metavar="N", help="of their frames, the short one (128)")
