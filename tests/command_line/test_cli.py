"""The command `vidshift`: its help, its arguments, and what it says of wrong ones."""

import subprocess
import sys

import pytest

from tests.support.files import ROOT
from vidshift import cli
from vidshift.command_line import config_files

# Prints what help costs, and whether it imported jax.
HELP = """
import resource, sys
from vidshift import cli
try:
    cli.main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    heavy = sorted({"jax", "flax", "numpy", "absl"} & set(sys.modules))
    print(used.ru_utime + used.ru_stime, heavy, file=sys.stderr)
"""


def help_of(*arguments) -> tuple[str, float, str]:
    done = subprocess.run(
        [sys.executable, "-c", HELP, *arguments],
        capture_output=True,
        cwd=ROOT,
        text=True,
        check=True,
    )
    seconds, heavy = done.stderr.split(" ", 1)
    return done.stdout, float(seconds), heavy.strip()


def test_help_is_there_at_once():
    """Within half a second of CPU, without jax; all commands' in one process."""
    out, seconds, heavy = help_of("--help")
    assert seconds < 0.5 and heavy == "[]"
    for name in cli.COMMANDS:
        assert f"\n  {name} " in out and f" vidshift {name}" in out
    assert all(len(line) <= 100 for line in out.splitlines())


@pytest.mark.parametrize("command", ["train", "bench"])
def test_help_of_a_command_is_there_at_once(command):
    out, seconds, heavy = help_of(command, "--help")
    assert seconds < 0.5 and heavy == "[]"
    assert out.startswith(f"usage: vidshift {command}")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_command_has_help_an_example_and_a_program(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.parse([command, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert f"\n    vidshift {command}" in out
    program = cli.module_of(command).PROGRAM.replace(".", "/")
    assert (ROOT / f"{program}.py").is_file()
    assert "def main(options" in (ROOT / f"{program}.py").read_text()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "tarin",
            "vidshift: error: there is no command 'tarin' (did you mean 'train'?)",
        ),
        ("x", "vidshift: error: there is no command 'x'; vidshift --help lists them"),
        (
            "train --workdri=x",
            "unexpected argument '--workdri=x' (did you mean '--workdir'",
        ),
        ("train x", "vidshift train: error: unexpected argument 'x'"),
        (
            "train --config",
            "vidshift train: error: argument --config: expected one arg",
        ),
        ("train --config=", "argument --config: a config's name is needed"),
        (
            "train --config=something_v1_tsm_resnet5",
            "no config of that name (did you mean 'something_v1_tsm_resnet50'?)",
        ),
        (
            "train --config=configs/tiny2.py",
            "argument --config: configs/tiny2.py: no such",
        ),
        (
            "train --config=no/tiny.py",
            "no such file; --config=tiny is one of vidshift's",
        ),
        ("cost --config.seed=1", "unexpected argument '--config.seed=1'"),
        ("predict --run x", "the following arguments are required: FILE"),
        ("eval --weights=1,x", "argument --weights: invalid numbers with commas"),
        ("completion csh", "argument shell: invalid choice: 'csh'"),
    ],
)
def test_a_wrong_argument_is_one_line(line, says, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.parse(line.split())
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert not out and says in err and err.count("\n") == 1


def test_spellings():
    """Hyphens or underscores, `=` or a space; fields of the config likewise."""
    for line in ("--data-dir=d", "--data_dir=d", "--data-dir d", "--data_dir d"):
        assert cli.parse(["eval", *line.split()])[1].data_dir == "d"
    line = (
        "--config.a.b 1 --workdir=w --config.c=x --config.d --config.e -1 --noconfig.f"
    )
    _, options = cli.parse(["train", *line.split()])
    wanted = ["--config.a.b=1", "--config.c=x", "--config.d", "--config.e=-1"]
    assert options.fields == [*wanted, "--noconfig.f"]
    assert (options.workdir, options.config) == ("w", "tiny")


def test_a_config_is_named_or_a_file(tmp_path):
    assert config_files.find("tiny") == ROOT / "configs" / "tiny.py"
    mine = tmp_path / "tiny.py"
    mine.touch()
    assert config_files.find(str(mine)) == mine
    assert len(config_files.names()) == len(list((ROOT / "configs").glob("*.py")))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["tra"], "train"),
        (["eval", "--map"], "--map-classes"),
        (["export", "--format", ""], "stablehlo onnx tflite"),
        (["train", "--config", "tiny_"], "tiny_a3d"),
    ],
)
def test_completion(words, wanted, capsys):
    with pytest.raises(SystemExit):
        cli.parse(["completion", "bash"])
    script = capsys.readouterr().out + (
        f"\nCOMP_WORDS=(vidshift {' '.join(word or chr(34) * 2 for word in words)})"
        f"\nCOMP_CWORD={len(words)}"
        f"\n_shtab_vidshift vidshift '{words[-1]}' '{['vidshift', *words][-2]}'"
        '\necho "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == wanted, done.stderr
