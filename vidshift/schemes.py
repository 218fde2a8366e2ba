"""Trains one config under several schemes and prints a table: `vidshift schemes`."""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import jax
import numpy as np

from vidshift.nets.zoo import pick
from vidshift.training.log import read_metrics

VIDSHIFT = [sys.executable, "-m", "vidshift"]

# It shifts by itself.
RUBIKSNET = ["--config.model.backbone=rubiksnet_micro", "--config.model.temporal=tsn"]
ATTENTION = [*RUBIKSNET, "--config.model.variant=attention"]
# Table -> row -> what differs from the config.
TABLES = {
    "schemes": {
        "TSN": ["--config.model.temporal=tsn"],
        "TSM": ["--config.model.temporal=tsm"],
        "causal TSM": ["--config.model.temporal=tsm", "--config.model.causal=true"],
        "VSN": ["--config.model.temporal=vsn"],
        "GSM": ["--config.model.temporal=gsm"],
        "GSF": ["--config.model.temporal=gsf"],
        "causal GSF": ["--config.model.temporal=gsf", "--config.model.causal=true"],
        "I3D": ["--config.model.temporal=i3d"],
        "RubiksNet": RUBIKSNET,
        "causal RubiksNet": [*RUBIKSNET, "--config.model.causal=true"],
    },
    "rubiksnet": {
        "interpolated": RUBIKSNET,
        "quantized": [*RUBIKSNET, "--config.model.variant=quantized"],
        "attention": ATTENTION,
        "attention, budget 0.25": [*ATTENTION, "--config.optim.attention.budget=0.25"],
        "attention, budget 0.05": [*ATTENTION, "--config.optim.attention.budget=0.05"],
    },
}
COLUMNS = {
    "schemes": "| scheme | test top-1 | right pair | minutes |",
    "rubiksnet": (
        "| shift in time | test top-1 | right pair | minutes "
        "| moved channels | undecided | other answers when hardened |"
    ),
}


def train(name: str, workdir: pathlib.Path, flags: list[str]) -> list[str]:
    """Trains and returns the cells of a row: name, top-1, right pair, minutes.

    Raises:
      CalledProcessError: a run that failed.
      ValueError: it has no test score.
    """
    began = time.perf_counter()
    subprocess.run([*VIDSHIFT, "train", f"--workdir={workdir}", *flags], check=True)
    minutes = (time.perf_counter() - began) / 60
    tests = [x for x in read_metrics(workdir) if x["kind"] == "test"]
    if not tests:
        raise ValueError(f"{workdir} has no test score")
    shares = (f"{100 * tests[-1][key]:.1f} %" for key in ("top1", "right_pair"))
    return [name, *shares, f"{minutes:.1f}"]


def hardening(workdir: pathlib.Path) -> list[str]:
    """Evaluates the last checkpoint; returns the cells of a row with attention."""
    lines = []
    for form in ("", "soft"):
        out = workdir / "evaluation" / f"last{form}"
        command = [*VIDSHIFT, "eval", f"--run={workdir}"]
        command += ["--checkpoint=last", f"--out={out}"]
        command += [f"--{form}"] if form else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        lines.append(json.loads(done.stdout.splitlines()[-1]))
    hard, soft = (np.load(line["scores"])["logits"].argmax(1) for line in lines)
    report = lines[0]
    return [
        f"{100 * report['moved_channels']:.1f} %",
        f"{report['undecided_channels']} of {report['attention_channels']}",
        f"{(hard != soft).sum()} of {len(hard)}",
    ]


def main(options: argparse.Namespace) -> int:
    pick("table", options.table, TABLES)
    columns, table = COLUMNS[options.table], []
    rows = TABLES[options.table]
    for name in options.rows.split(",") if options.rows else rows:
        differs = pick("row", name, rows)
        folder = name.replace(",", "").replace(" ", "_")
        workdir = pathlib.Path(options.out) / folder
        try:
            cells = train(
                name, workdir, [f"--config={options.config}", *differs, *options.fields]
            )
            if differs[: len(ATTENTION)] == ATTENTION:
                cells += hardening(workdir)
        except (subprocess.CalledProcessError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error
        cells += ["no attention"] * (columns.count("|") - 1 - len(cells))
        table.append(f"| {' | '.join(cells)} |")
    ruler = "|" + "---|" * (columns.count("|") - 1)
    print("\n".join(["", columns, ruler, *table]))
    device = jax.devices()[0].device_kind
    print(f"\n{device}, jax {jax.__version__}, Python {sys.version.split()[0]}")
    return 0
