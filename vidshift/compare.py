"""`python -m vidshift.compare`: the same config trained under each temporal scheme.

Runs `train.py` once a row, one after the other, and prints a Markdown table of test
accuracies, read from the runs' metrics files. Run it from the project's folder.
Arguments it does not know go to every `train.py`, such as `--config.epochs=7`.
"""

import argparse
import pathlib
import subprocess
import sys
import time

import jax

from vidshift.training.log import read_metrics

# Row -> what differs from the config.
ROWS = {
    "TSN": ["--config.model.temporal=tsn"],
    "TSM": ["--config.model.temporal=tsm"],
    "causal TSM": ["--config.model.temporal=tsm", "--config.model.causal=true"],
    "VSN": ["--config.model.temporal=vsn"],
    "GSM": ["--config.model.temporal=gsm"],
    "GSF": ["--config.model.temporal=gsf"],
    "I3D": ["--config.model.temporal=i3d"],
    "RubiksNet": [
        "--config.model.backbone=rubiksnet_micro",
        "--config.model.temporal=tsn",  # it shifts by itself
    ],
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="vidshift.compare", description=__doc__)
    parser.add_argument("--out", default="runs/compare", help="folder of the runs")
    arguments, for_train = parser.parse_known_args(argv)
    if not pathlib.Path("train.py").is_file():
        print("compare: error: there is no train.py in this folder", file=sys.stderr)
        return 2
    table = []
    for name, differs in ROWS.items():
        workdir = pathlib.Path(arguments.out) / name.replace(" ", "_")
        command = [sys.executable, "train.py", f"--workdir={workdir}"]
        began = time.perf_counter()
        code = subprocess.run([*command, *differs, *for_train], check=False).returncode
        if code:
            print(f"compare: error: {name} ended with {code}", file=sys.stderr)
            return code
        minutes = (time.perf_counter() - began) / 60
        tests = [x for x in read_metrics(workdir) if x["kind"] == "test"]
        if not tests:
            print(f"compare: error: {workdir} has no test score", file=sys.stderr)
            return 2
        test = tests[-1]
        table.append(
            f"| {name} | {100 * test['top1']:.1f} % | {100 * test['right_pair']:.1f} % "
            f"| {minutes:.1f} |"
        )
    print("\n| scheme | test top-1 | right pair | minutes |\n|---|---|---|---|")
    print("\n".join(table))
    device = jax.devices()[0].device_kind
    print(f"\n{device}, jax {jax.__version__}, Python {sys.version.split()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
