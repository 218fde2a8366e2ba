"""Trainings of a table, each once: what is done is kept, and gone on with."""

import json
import pathlib
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np

from vidshift.data.records.builder import write_json
from vidshift.evaluation import score_files
from vidshift.evaluation.evaluate import Scores

VIDSHIFT = (sys.executable, "-m", "vidshift")
DONE = "scheme.json"
TEST = "evaluation/test"


class Training(NamedTuple):
    """A row's training with one seed."""

    row: str
    workdir: pathlib.Path
    flags: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """Tells if it was trained and tested before.

        Raises:
          ValueError: with other flags.
        """
        file = self.workdir / DONE
        if not file.is_file():
            return False
        flags = json.loads(file.read_text())["flags"]
        if flags != list(self.flags):
            others = sorted(set(flags) ^ set(self.flags))
            raise ValueError(
                f"{self.workdir} was trained with other flags ({' '.join(others)}): "
                "give another --out, or remove it"
            )
        return True


class Outcome(NamedTuple):
    """Figures of a training on the test clips.

    figures: what `vidshift eval` said: `top1`, `right_pair`, ...
    scores: of each clip.
    minutes: of the training, over all calls that it took.
    """

    figures: dict
    scores: Scores
    minutes: float


def train(one: Training) -> None:
    """Trains and tests; an interrupted training goes on.

    Raises:
      CalledProcessError: a command that failed.
    """
    one.workdir.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    minutes = one.workdir / "minutes.txt"
    before = float(minutes.read_text()) if minutes.is_file() else 0.0
    try:
        run = (*VIDSHIFT, "train", f"--workdir={one.workdir}", *one.flags)
        subprocess.run(run, check=True)
    finally:
        spent = before + (time.perf_counter() - began) / 60
        minutes.write_text(f"{spent:.3f}\n")
    figures = test(one.workdir, f"--out={one.workdir / TEST}")
    done = {"flags": one.flags, "minutes": spent, "figures": figures}
    write_json(one.workdir / DONE, done)


def test(workdir: pathlib.Path, *flags: str) -> dict:
    """Evaluates a run's test split; returns the line that `vidshift eval` prints."""
    command = (*VIDSHIFT, "eval", f"--run={workdir}", *flags)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def outcome(one: Training) -> Outcome:
    """Reads what `train` wrote."""
    done = json.loads((one.workdir / DONE).read_text())
    # The folder may have been moved since.
    file = one.workdir / TEST / pathlib.Path(done["figures"]["scores"]).name
    scores = score_files.read(file).scores
    return Outcome(done["figures"], scores, done["minutes"])


def hardened(workdir: pathlib.Path) -> list[str]:
    """Evaluates the last checkpoint; returns the cells of a row with attention."""
    lines = []
    for form in ("", "soft"):
        out = workdir / "evaluation" / f"last{form}"
        flags = [f"--{form}"] if form else []
        lines.append(test(workdir, "--checkpoint=last", f"--out={out}", *flags))
    hard, soft = (np.load(line["scores"])["logits"].argmax(1) for line in lines)
    report = lines[0]
    return [
        f"{100 * report['moved_channels']:.1f} %",
        f"{report['undecided_channels']} of {report['attention_channels']}",
        f"{(hard != soft).sum()} of {len(hard)}",
    ]
