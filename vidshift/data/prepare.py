"""Turns a data set as it is distributed into sharded records that training reads.

    python -m vidshift.data.prepare something_v2 --source ~/Downloads/ssv2 --out datasets
    python -m vidshift.data.prepare folder --source my_videos --out datasets
    python -m vidshift.data.prepare kinetics400 --source k400 --check

NAME is a data set of vidshift.data.annotations, whose file there says what is expected
below --source; `folder` is any folder of videos, a sub-folder for each class, or a CSV of
file, label and optional start and end. Started again with the same arguments, a
preparation that was interrupted goes on, and ends with the same bytes. What cannot be
decoded is left out, counted and listed.

Of `folder` the class of a mirror image is read from the names ("swipe left", "swipe
right"), and printed. --mirror="swipe left=swipe right" says what the names do not, and
--mirror="right hook=right hook" that a class is its own mirror image; given again, with
other pairs, it changes nothing but them.
"""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import argparse
import os
import pathlib
import sys

from vidshift.command_line import errors
from vidshift.command_line.arguments import count, make_parser
from vidshift.data.annotations import DATASETS
from vidshift.data.annotations.clip import Annotations
from vidshift.data.media import flow
from vidshift.data.preparation.build import check, prepare, report_classes
from vidshift.data.records import storage


@errors.reported
def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        annotations = _annotations(options)
        report_classes(options.name, annotations)
        if options.check:
            return check(annotations, options.name, workers=options.workers)
        return prepare(
            annotations,
            options.name,
            out=options.out,
            stored_as=options.storage,
            modality=options.modality,
            workers=options.workers,
            retry=options.retry,
        )
    except KeyboardInterrupt:
        print("\nprepare: stopped; the same command goes on", file=sys.stderr)
        return 130
    except UnicodeEncodeError as error:
        name = ascii(error.object)
        raise ValueError(f"a name is not in UTF-8: {name}") from error


def _annotations(options: argparse.Namespace) -> Annotations:
    if "://" in str(options.out):
        raise ValueError(
            f"--out={options.out} must be a folder: records are written and read as "
            "files. Install Cloud Storage FUSE (`gcsfuse BUCKET DIR`) and give DIR"
        )
    if not options.check and options.out is None:
        raise ValueError("--out=DIR is needed, or --check")
    if not options.source.is_dir():
        raise ValueError(f"--source={options.source} is no folder")
    if options.modality == "flow":
        flow.check_installed()
    folder_options = {}
    for field in ("csv", "validation_share", "test_share", "fps", "mirror"):
        value = getattr(options, field)
        if value is not None:
            if options.name != "folder":
                flag = field.replace("_", "-")
                raise ValueError(f"--{flag} is for NAME=folder")
            folder_options[field] = value
    print(f"{options.name}: listing {options.source}", flush=True)
    return DATASETS[options.name].read(options.source, **folder_options)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("python -m vidshift.data.prepare", __doc__)
    add = parser.add_argument
    add("name", choices=list(DATASETS), metavar="NAME", help=", ".join(DATASETS))
    add("--source", required=True, type=pathlib.Path, metavar="DIR")
    add("--out", metavar="DIR", help="of all prepared data sets (config.data.dir)")
    add(
        "--storage",
        choices=list(storage.STORAGES),
        default="fast",
        help="fast: H.264, a keyframe every 4 frames, short side 256; copy: the file as "
        "it is; frames: a JPEG each frame",
    )
    add(
        "--modality",
        choices=["rgb", "flow"],
        default="rgb",
        help="flow: TV-L1, of each frame to the next (requirements-flow.txt)",
    )
    add("--workers", type=count, default=_cores(), metavar="N", help="all cores")
    add("--check", action="store_true", help="decode every clip, write nothing")
    add("--retry", action="store_true", help="try again what was left out")
    add("--csv", metavar="FILE", help="of folder: file, label, start, end, split")
    for split in ("validation", "test"):
        names = f"--{split}-share", f"--{split}_share"
        add(*names, type=float, metavar="X", help="of folder; 0.1")
    add(
        "--mirror",
        action="append",
        metavar="CLASS=CLASS",
        help="of folder: two classes that are each other's mirror image; as often as needed",
    )
    add("--fps", type=float, metavar="X", help="of folder's clips that are frames")
    return parser


def _cores() -> int:
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count()
    )


if __name__ == "__main__":
    errors.run(main)
