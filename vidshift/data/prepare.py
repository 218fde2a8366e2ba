"""A data set turned into records: `vidshift prepare`."""

import argparse
import sys

from vidshift.data.annotations import DATASETS
from vidshift.data.annotations.clip import Annotations
from vidshift.data.media import flow
from vidshift.data.parallel.workers import cores
from vidshift.data.preparation.build import check, prepare, report_classes
from vidshift.nets.zoo import pick

# Flags that one data set takes alone.
OWN_OPTIONS = {
    "folder": ("csv", "validation_share", "test_share", "fps", "mirror"),
    "arrow_of_time": ("frames", "rate", "stride", "side"),
}


def main(options: argparse.Namespace) -> int:
    storages = pick("data set", options.name, DATASETS).storages
    stored_as = options.storage or storages[0]
    if stored_as not in storages:
        raise ValueError(
            f"{options.name} is stored as {' or '.join(storages)}, got "
            f"--storage={stored_as}"
        )
    workers = options.workers or cores()
    try:
        annotations = _annotations(options)
        report_classes(options.name, annotations)
        if options.check:
            return check(annotations, options.name, workers=workers)
        return prepare(
            annotations,
            options.name,
            out=options.out,
            stored_as=stored_as,
            modality=options.modality,
            workers=workers,
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
    own_options = {}
    for name, fields in OWN_OPTIONS.items():
        for field in fields:
            value = getattr(options, field)
            if value is None:
                continue
            if options.name != name:
                raise ValueError(f"--{field.replace('_', '-')} is for NAME={name}")
            own_options[field] = value
    print(f"{options.name}: listing {options.source}", flush=True)
    return DATASETS[options.name].read(options.source, **own_options)
