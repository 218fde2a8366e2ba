"""What each storage costs: bytes of a clip, and clips a second that are read from it.

    python -m vidshift.data.bench VIDEO [--num_frames 8] [--crop 224] [--seconds 20]

A clip is read as in training: the record's bytes, `num_frames` frames of random places in
their segments, decoded, cut and resized to `crop` pixels, by one thread. Storages take
turns, clip by clip, so that what else the machine does meets all of them.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import av
import numpy as np

from vidshift.arguments import count
from vidshift.data import plan, storage
from vidshift.data.annotations.clip import Clip
from vidshift.data.split import Record
from vidshift.data.view import View, train_clip


def measure(path: pathlib.Path, view: View, *, seconds: float) -> list[dict]:
    """A row for each storage.

    Args:
      path: of a video file.
      view: what is shown of it.
      seconds: to measure for, all storages together.

    Returns:
      Rows of `storage`, `bytes`, `store_seconds` (making the record), `clips` (read),
      `cpu_ms` and `clips_per_second` (median clip, processor time and wall time).

    Raises:
      VideoError: the video cannot be read.
    """
    clip = Clip(id=path.name, path=path, splits=("train",), label=0)
    rows, records = [], []
    for name in storage.STORAGES:
        began = time.process_time()
        stored = storage.store(clip, name)
        rows.append(
            {
                "storage": name,
                "bytes": len(stored.video),
                "store_seconds": time.process_time() - began,
            }
        )
        records.append(
            Record(
                video=stored.video,
                label=0,
                id=clip.id,
                num_frames=stored.num_frames,
                fps=stored.fps,
            )
        )
    times = [[] for _ in rows]
    until = time.monotonic() + seconds
    element = 0
    while time.monotonic() < until or not times[0]:
        for record, own in zip(records, times, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            rng = plan.augmentation_rng(0, element)
            train_clip(record, view, rng, may_flip=False)
            own.append((time.perf_counter() - wall, time.process_time() - cpu))
        element += 1
    for row, own in zip(rows, times, strict=True):
        wall, cpu = (statistics.median(part) for part in zip(*own, strict=True))
        row |= {
            "clips": len(own),
            "cpu_ms": 1e3 * cpu,
            "clips_per_second": 1 / wall,
        }
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m vidshift.data.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("video", type=pathlib.Path, metavar="VIDEO")
    parser.add_argument("--num_frames", type=count, default=8)
    parser.add_argument("--resize", type=count, default=256)
    parser.add_argument("--crop", type=count, default=224)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    try:
        view = View(options.num_frames, options.resize, options.crop)
        rows = measure(options.video, view, seconds=options.seconds)
    except (ValueError, OSError) as error:
        print(f"bench: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if options.json:
        print("\n".join(json.dumps(row) for row in rows))
        return 0
    print(f"{options.video.name}, PyAV {av.__version__}, NumPy {np.__version__}")
    print("| storage | MB a clip | s to make | CPU ms a clip | clips/s, one thread |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| `{row['storage']}` | {row['bytes'] / 1e6:.2f} "
            f"| {row['store_seconds']:.2f} | {row['cpu_ms']:.1f} "
            f"| {row['clips_per_second']:.1f} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
