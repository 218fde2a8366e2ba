"""Whatever goes wrong before `main` begins is one line too, and so is Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.support.commands import ROOT, failures, finish
from vidshift.command_line import errors

CONFIGS = {
    "def get_config(:\n": "line 1: invalid syntax",
    "x = 1\n": "it has no function get_config()",
    "import nowhere_at_all\n": "line 1: ModuleNotFoundError: No module named 'nowhere",
    "def get_config():\n    return 1 / 0\n": "line 2: ZeroDivisionError",
    "def get_config():\n    return {}\n": "must return a vidshift.config.Config",
    "def get_config(name):\n    return name\n": "missing 1 required positional",
    "\0": "null bytes",
}
FLAGS = {
    "--config": "argument --config: expected one argument",
    "--config=~/none.py": f"--config: {os.path.expanduser('~')}/none.py: no such file",
    "--config.optm.lr=1": "no field 'optm' (did you mean 'optim'?)",
    "--config.optm=1": "no field 'optm' (did you mean 'optim'?)",
    "--config.optim=1": "set --config.optim.FIELD=value",
    "--config.recipe=papre": "config.recipe must be one of ('paper', 'code'), got 'papre'",
    "--config.optim.lr.x=1": "config.optim.lr is a value (float)",
    "--config.seed=99999999999999999999": "seed must be in [0, 2**32)",
    "--config.batch_size=99999999999999999999": "batch_size must be below 2**31",
    "--config configs/tiny.py --config.steps=-3": "config.steps must be above 0",
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """What `train.py` writes to stderr for each of `CONFIGS` and `FLAGS`."""
    folder = tmp_path_factory.mktemp("configs")
    given = []
    for number, text in enumerate(CONFIGS):
        (folder / f"c{number}.py").write_text(text)
        given.append([f"--config={folder}/c{number}.py"])
    given += [flags.split() for flags in FLAGS]
    given = [[*arguments, f"--workdir={folder}/run"] for arguments in given]
    return [err.splitlines() for _, err in failures("train.py", given)]


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(CONFIGS)))
def test_a_faulty_config_file_is_one_line(lines, index):
    (line,) = lines[index]
    assert f"c{index}.py" in line
    assert list(CONFIGS.values())[index] in line


@pytest.mark.slow
@pytest.mark.parametrize("flags", FLAGS)
def test_a_wrong_flag_is_one_line(lines, flags):
    (line,) = lines[len(CONFIGS) + list(FLAGS).index(flags)]
    assert line.startswith("vidshift train: error: ") and FLAGS[flags] in line


# Shells let what they start in the background ignore SIGINT, and it stays so.
HEEDING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def started(*arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-c", HEEDING, *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", ["train.py --config.steps=-3", "-m vidshift stream --video=x"]
)  # they end by themselves where it is not heeded
def test_ctrl_c_during_imports(program):
    process = started(*program.split())
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    out, err = finish(process, code=130)
    assert (out, err) == ("", "")


def test_an_import_that_fails(tmp_path):
    (tmp_path / "jax.py").write_text("raise ImportError('libx.so is\\nmissing')\n")
    process = started("train.py", PYTHONPATH=str(tmp_path))
    _, err = finish(process, code=2)
    assert err.startswith("vidshift train: error: libx.so is missing (`pip install")
    assert len(err.splitlines()) == 1


def test_a_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    for given, wanted in (
        ("--workdir=~/x", "--workdir=/home/me/x"),
        ("--config.data.dir=~/x", "--config.data.dir=/home/me/x"),
        ("--workdir=a~/x", "--workdir=a~/x"),
        ("x=~/y", "x=~/y"),
        ("--flag", "--flag"),
    ):
        assert errors.expand_home(given) == wanted


def test_what_cannot_be_written_to_is_refused_first(tmp_path):
    (tmp_path / "file").touch()
    errors.check_out("--out", tmp_path / "new" / "file", folder=False)
    errors.check_out("--out", tmp_path / "file", folder=False)
    errors.check_out("--out", tmp_path / "new", folder=True)
    for path, folder, says in (
        (tmp_path / "file", True, "must be a folder, and .*file is a file"),
        (tmp_path / "file" / "x", True, "must be a folder, and .*file is a file"),
        (tmp_path / "file" / "x", False, "must be a folder, and .*file is a file"),
        (tmp_path, False, "must be a file, and is a folder"),
    ):
        with pytest.raises(ValueError, match=f"^--out=.* {says}"):
            errors.check_out("--out", path, folder=folder)


def test_a_full_disk_is_said_once(monkeypatch, capsys):
    """A library's thread is silent about it, since the main thread meets it too."""
    monkeypatch.setattr(threading, "excepthook", errors._uncaught_in_a_thread)
    monkeypatch.delenv("VIDSHIFT_TRACEBACK", raising=False)

    def run(error):
        def fail():
            raise error

        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        return capsys.readouterr().err

    assert run(OSError(28, "No space left on device", "x")) == ""
    assert "OSError" in run(OSError(5, "Input/output error"))
    assert "ValueError: wrong" in run(ValueError("wrong"))
    line = errors.as_line(OSError(28, "No space left on device", "/a/b"))
    assert line == (
        "cannot write: No space left on device (/a/b); free some space and start again"
    )
