"""Tables of schemes: what is trained, what is gone on with, what is printed."""

import json
import pathlib
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from vidshift import cli
from vidshift.evaluation import score_files
from vidshift.evaluation.evaluate import Scores
from vidshift.schemes import program, tables, trained
from vidshift.schemes.tables import TABLES, Row, Table
from vidshift.tasks import SINGLE_LABEL

IDS = [f"a.mp4 at {second} s, {speed}x" for second in (0, 1, 2) for speed in (1, 2)]
# Of the network that a seed trains: clips that it has right.
RIGHT = {"0": [1, 1, 1, 1, 0, 0], "1": [1, 1, 0, 0, 0, 0]}


@pytest.fixture
def ran(monkeypatch):
    """Commands that would have run; an evaluation has the scores of its seed."""
    commands = []

    def run(command, *, check, **_):
        words = command[3:]
        commands.append(list(words))
        if words[0] == "train":
            return None
        folder = pathlib.Path(words[2].removeprefix("--out="))
        right = RIGHT[folder.parents[1].name.removeprefix("seed_")]
        labels = np.zeros(6, int)
        logits = np.stack([np.asarray(right, np.float32), np.full(6, 0.5)], 1)
        folder.mkdir(parents=True)
        scores = Scores(logits, labels, np.arange(6), tuple(IDS), (), SINGLE_LABEL)
        score_files.write(folder / "test.npz", scores, ("forward", "backward"))
        figures = {"top1": sum(right) / 6, "right_pair": 1.0}
        line = json.dumps(figures | {"scores": str(folder / "test.npz")})
        return SimpleNamespace(stdout=f"{line}\n")

    monkeypatch.setattr(trained.subprocess, "run", run)
    monkeypatch.setattr(program, "_say_hours", lambda todo, total: None)
    small = Table(
        {"one": Row(("--config.a=1",)), "two": Row(("--config.a=2",), True)},
        seeds=(0, 1),
        group_of=tables.place_of,
    )
    monkeypatch.setitem(TABLES, "order", small)
    return commands


def schemes(tmp_path, *flags):
    return cli.run(["schemes", "--table=order", f"--out={tmp_path}", *flags])


def test_every_row_is_trained_once_with_every_seed(ran, tmp_path, capsys):
    flags = ("--imagenet=runs/imagenet", "--config.epochs=2")
    assert schemes(tmp_path, *flags) == 0
    out = capsys.readouterr().out
    trainings = [words for words in ran if words[0] == "train"]
    assert trainings[0] == [
        "train",
        f"--workdir={tmp_path}/one/seed_0",
        "--config=tiny",
        "--config.a=1",
        "--config.seed=0",
        "--config.epochs=2",
    ]
    assert "--config.init=runs/imagenet" in trainings[1]
    # Table first, seeds last, so that one seed of all rows is there before the next.
    assert [words[1][-11:] for words in trainings] == [
        "/one/seed_0",
        "/two/seed_0",
        "/one/seed_1",
        "/two/seed_1",
    ]
    lines = out.splitlines()
    assert lines[1].startswith("| scheme | test top-1 | 95 % interval |")
    # Clips of one place are right together: the interval is that of three places.
    assert lines[3].startswith("| one | 50.0 ± 23.6 % | 0.0 to 100.0 | 100.0 ± 0.0 % |")
    assert schemes(tmp_path, *flags) == 0
    assert capsys.readouterr().out == out and len(ran) == 8


def test_a_training_that_fails_says_its_row(ran, tmp_path, capsys, monkeypatch):
    def fail(command, **_):
        raise subprocess.CalledProcessError(2, command)

    monkeypatch.setattr(trained.subprocess, "run", fail)
    assert schemes(tmp_path, "--rows=one") == 2
    assert "schemes: error: one: " in capsys.readouterr().err
    assert float((tmp_path / "one" / "seed_0" / "minutes.txt").read_text()) >= 0


def test_bad_input(ran, tmp_path, capsys):
    for flags, message in (
        ((), "rows from ImageNet need --imagenet=RUN"),
        (("--rows=three",), "row 'three' does not exist"),
    ):
        assert schemes(tmp_path, *flags) == 2
        assert message in capsys.readouterr().err
    assert ran == []
    assert schemes(tmp_path, "--rows=one") == 0
    capsys.readouterr()
    assert schemes(tmp_path, "--rows=one", "--config.epochs=3") == 2
    assert "was trained with other flags (--config.epochs=3)" in capsys.readouterr().err
