"""Clips a second that the loader gives, by storage, decoder and workers.

    python -m benchmarks.loading VIDEO [--workers 0 1 2 4] [--rounds 5] [--json]

Prepares data sets of copies of VIDEO in a temporary folder and trains on nothing, epoch
after epoch. Beside the loader a bare loop decodes and cuts the same clips on as many
cores, without reading, order or batches; `ratio` is the loader's speed over its. All take
turns, and a figure is the median of the rounds.
"""

import argparse
import functools
import json
import pathlib
import platform
import sys
import tempfile

import av
import numpy as np

from benchmarks.loading import loaders, png
from benchmarks.loading.loaders import DECODERS, Contender
from vidshift.command_line import errors
from vidshift.command_line.arguments import count, make_parser
from vidshift.data.parallel.workers import WORKER_KINDS, cores
from vidshift.data.records import builder, storage
from vidshift.data.views.view import View

NO_TENSORFLOW = "TFDS PNG: TensorFlow is not installed"


def measure(options: argparse.Namespace) -> tuple[list[dict], list[dict], list[str]]:
    """Rows of the storages, rows of the loaders, and what could not be measured.

    Raises:
      VideoError: the video cannot be read.
    """
    view = View(options.num_frames, options.resize, options.crop)
    available = cores()
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        stored = [
            {"storage": name}
            | loaders.prepare(options.video, name, options.copies, out)
            for name in options.storages
        ]
        contenders = functools.partial(
            loaders.contenders,
            out,
            view=view,
            batch_size=options.batch_size,
            cores=available,
        )
        workers = [
            (kind, number)
            for kind in options.kinds
            for number in options.workers
            if number or kind == options.kinds[0]  # none is of no kind
        ]
        competitors: list[Contender] = []
        for name in options.storages:
            for decoder in options.decoders:
                some = workers
                if decoder != options.decoders[0]:
                    if name == builder.BY_FRAME:
                        continue  # its frames have no order
                    some = [max(workers, key=lambda it: min(it[1], available))]
                competitors += contenders(name, decoder, workers=some)
        missing = []
        if options.png:
            try:
                row, more = png.contenders(options.video, out, view, cores=available)
                stored, competitors = [*stored, row], competitors + more
            except ImportError:
                missing.append(NO_TENSORFLOW)
        turns = loaders.compete(
            competitors, rounds=options.rounds, seconds=options.seconds
        )
    return stored, loaders.rows(competitors, turns, available), missing


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    stored, loaded, missing = measure(options)
    about = {
        "video": options.video.name,
        "cores": cores(),
        "machine": _machine(),
        "python": platform.python_version(),
        "av": av.__version__,
        "numpy": np.__version__,
    }
    if "tensorflow" in sys.modules:
        about["tensorflow"] = sys.modules["tensorflow"].__version__
    if options.json:
        for row in [about, *stored, *loaded, *({"missing": it} for it in missing)]:
            print(json.dumps(row))
        return 0
    print(", ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    print("| storage | MB a clip | CPU s to make |\n|---|---|---|")
    for row in stored:
        size, took = row["bytes"] / 1e6, row["store_seconds"]
        print(f"| {row['storage']} | {size:.2f} | {took:.2f} |")
    print("\n| storage | decoder | loads | workers | clips/s | ratio | CPU ms a clip |")
    print("|---|---|---|---|---|---|---|")
    for row in loaded:
        named = (str(row[it]) for it in ("storage", "decoder", "loads", "workers"))
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        used = f"{row['cpu_ms']:.1f}" if "cpu_ms" in row else ""
        shown = (*named, f"{row['clips_per_second']:.1f}", ratio, used)
        print(f"| {' | '.join(shown)} |")
    print("".join(f"\n{line}\n" for line in missing), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("python -m benchmarks.loading", __doc__)
    add = parser.add_argument

    def several(name: str, choices, **more) -> None:
        choices = list(choices)
        add(name, nargs="+", choices=choices, default=choices, **more)

    add("video", type=pathlib.Path, metavar="VIDEO")
    several("--storages", storage.STORAGES)
    several("--decoders", DECODERS)
    several("--kinds", WORKER_KINDS)
    add("--workers", nargs="+", type=int, default=[0, 1, 2, 4], metavar="N")
    add("--copies", type=count, default=32, help="clips of the data set")
    add("--num-frames", type=count, default=8)
    add("--resize", type=count, default=256)
    add("--crop", type=count, default=224)
    add("--batch-size", type=count, default=16)
    add("--rounds", type=count, default=5)
    add("--seconds", type=float, default=1.5, help="of a turn")
    add("--png", action=argparse.BooleanOptionalAction, default=True, help="TFDS's own")
    add("--json", action="store_true", help="a JSON object a line")
    return parser


def _machine() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(": ")[1] for line in file if "model name" in line]
        return names[0].strip()
    except (OSError, IndexError):
        return platform.machine()


if __name__ == "__main__":
    errors.one_line()
    sys.exit(main())
