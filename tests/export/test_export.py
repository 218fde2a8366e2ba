"""Exported networks compute what the networks do, or are not written."""

import importlib.util
import json

import jax
import numpy as np
import pytest

import vidshift
from tests.support.commands import environment
from tests.support.runs_for_streams import write_run
from vidshift import cli
from vidshift.export import check, load, replay
from vidshift.export import writing as export
from vidshift.export.program import PortableProgram

SIZE = ("--size", "32", "24")


@pytest.fixture(autouse=True)
def in_this_process(request, monkeypatch):
    """A process for each file takes seconds; `test_streams` has them."""
    if request.function is not test_streams:
        monkeypatch.setattr(check, "run_elsewhere", replay.main)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def needs(form):
    missing = [n for n in export.NEEDS[form] if importlib.util.find_spec(n) is None]
    return pytest.mark.skipif(
        bool(missing),
        reason=f"{', '.join(missing)} missing: pip install -e .[{form}]",
    )


FORMATS = [
    "stablehlo",
    pytest.param("onnx", marks=needs("onnx")),
    pytest.param("tflite", marks=needs("tflite")),
]


def run(capsys, out, *arguments, code=0):
    """The JSON line and the description of the file, or the line of error."""
    argv = ["--out", str(out), *SIZE, "--num-frames=4", "--num-classes=5"]
    assert cli.run(["export", *argv, *map(str, arguments)]) == code
    stdout, err = capsys.readouterr()
    if code:
        # What goes on is said too, where the machine is so busy that it takes a second.
        *before, line = err.splitlines(keepends=True)
        assert not stdout and "error:" not in "".join(before), err
        assert list(out.parent.iterdir()) == []
        return line
    found = json.loads(out.with_name(f"{out.name}.json").read_text())
    assert sorted(p.name for p in out.parent.iterdir()) == [
        out.name,
        f"{out.name}.json",
    ]
    return json.loads(stdout), found


@pytest.mark.parametrize("form", FORMATS)
def test_clips(form, tmp_path, capsys):
    out = tmp_path / "file"
    line, found = run(capsys, out, "--network=resnet_tiny/tsm", "--format", form)
    assert line["largest_difference"] <= 1e-4
    size = 1 if form == "tflite" else "B"
    clips = {"name": "clips", "shape": [size, 4, 32, 24, 3], "dtype": "uint8"}
    assert found["inputs"] == [clips]
    assert found["outputs"][0]["shape"] == [size, 5]
    assert found["normalisation"]["inside"] and len(found["classes"]) == 5
    # Here, and with other pixels.
    pixels = check.random_clips((1, 4, 32, 24, 3), np.uint8)[:, ::-1]
    first, second = load(out)(pixels), load(out)(pixels[:, ::-1].copy())
    assert first.shape == (1, 5)
    assert not np.allclose(first, second)  # it sees the order of frames
    # One bit of the file.
    content = bytearray(out.read_bytes())
    content[len(content) // 2] ^= 4
    out.write_bytes(content)
    with pytest.raises(ValueError, match="file is not what was exported: its SHA-256"):
        replay.load(out)


@pytest.mark.parametrize("form", FORMATS)
def test_streams(form, tmp_path, capsys):
    out = tmp_path / "file"
    network = "--network=resnet_tiny/tsm:causal=true"
    line, found = run(
        capsys, out, network, "--kind=stream", "--batch=2", "--format", form
    )
    assert 0 < line["largest_difference"] <= 1e-4
    assert line["max_rank"] <= 4
    names = [array["name"] for array in found["inputs"]]
    assert names[0] == "frame" and len(names) == 4
    kept = [array["name"] for array in found["outputs"]]
    assert kept == ["logits", *(f"next.{name}" for name in names[1:])]


@pytest.mark.slow
def test_a_run(tmp_path, capsys):
    """In float32, normalised as the run says, in the run's folder."""
    data = {"crop": 32, "mean": (0.1, 0.2, 0.3)}
    write_run(tmp_path, data=data, classes=("left", "right"), dtype="bfloat16")
    model = vidshift.load(tmp_path, dtype="float32")
    argv = ["--run", str(tmp_path), "--format=stablehlo", "--batch=1"]
    assert cli.run(["export", *argv]) == 0
    out = tmp_path / "export" / "clip.stablehlo"
    assert json.loads(capsys.readouterr().out)["file"] == str(out)
    network = load(out)
    assert network.description["classes"] == ["left", "right"]
    clips = check.random_clips((1, 4, 32, 32, 3), np.uint8)
    std = np.array(network.description["normalisation"]["std"])
    normalised = ((clips / 255 - [0.1, 0.2, 0.3]) / std).astype(np.float32)
    wanted = jax.jit(lambda clips: model(clips))(normalised)
    np.testing.assert_allclose(network(clips), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", FORMATS)
def test_what_differs_is_not_written(form, tmp_path, capsys, monkeypatch):
    writer = export.module_of(form)
    write = writer.write

    def wrong(program: PortableProgram, path):
        function = lambda *given: tuple(1.01 * x for x in program.function(*given))
        return write(program._replace(function=function), path)

    monkeypatch.setattr(writer, "write", wrong)
    argv = ("--network=resnet_tiny", "--format", form, "--no-normalise", "--batch=1")
    err = run(capsys, tmp_path / "file", *argv, code=1)
    assert "differs by 0.01 of the largest logit" in err
    loose = [*argv, f"--out={tmp_path / 'file'}", *SIZE, "--tolerance=0.02"]
    assert cli.run(["export", *loose]) == 0


def test_what_was_there_stays(tmp_path, capsys, monkeypatch):
    out = tmp_path / "file"
    out.write_text("mine")
    monkeypatch.setattr(check, "largest_difference", lambda *_: float("nan"))
    argv = ["--network=resnet_tiny", "--format=stablehlo", "--out", str(out), *SIZE]
    assert cli.run(["export", *argv]) == 1
    assert out.read_text() == "mine" and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--network=resnet_tiny/tsm", "--kind=stream"), "reads no later frame"),
        (("--network=resnet_tiny/vsn", "--kind=stream"), "reads no later frame"),
        (("--network=slow_tiny", "--kind=stream"), "reads no later frame"),
        (("--network=resnet_tiny/nothing",), "nothing"),
        (("--run=/nowhere",), "/nowhere is no run or checkpoint"),
    ],
)
def test_refuses(arguments, says, tmp_path, capsys):
    err = run(capsys, tmp_path / "file", *arguments, "--format=stablehlo", code=2)
    assert says in err


def test_arrays_of_streams_have_four_dimensions(tmp_path, capsys, monkeypatch):
    writer = export.module_of("stablehlo")
    monkeypatch.setattr(writer, "write", lambda *_: {"max_rank": 5})
    argv = ("--network=resnet_tiny", "--kind=stream", "--format=stablehlo")
    err = run(capsys, tmp_path / "file", *argv, code=2)
    assert "at most 4 dimensions, and one has 5" in err


@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_names_the_requirements(form, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(export.NEEDS, form, ("surely_not_there",))
    argv = ("--network=resnet_tiny", "--format", form)
    err = run(capsys, tmp_path / "file", *argv, code=2)
    assert err == (
        f"vidshift export: error: {form} needs surely_not_there: "
        f'pip install "vidshift[{form}]" (in a clone: pip install -e ".[{form}]")\n'
    )


@needs("tflite")
def test_tflite_has_no_symbolic_batch(tmp_path, capsys):
    argv = ("--network=resnet_tiny", "--format=tflite", "--batch=symbolic")
    assert "fixed batch" in run(capsys, tmp_path / "file", *argv, code=2)


@needs("onnx")
def test_onnx_says_what_has_no_rule(tmp_path, capsys, monkeypatch):
    from vidshift.export import onnx_rules

    monkeypatch.delitem(onnx_rules.RULES, "conv_general_dilated")
    argv = ("--network=resnet_tiny", "--format=onnx")
    err = run(capsys, tmp_path / "file", *argv, code=2)
    assert "no rule for JAX's conv_general_dilated" in err


OTHERS = ["resnet_tiny/gsf", "resnet_tiny/vsn", "rubiksnet_micro", "slow_tiny"]
OTHERS += ["resnet_tiny/tsm:temporal_pool=true", "resnet_tiny/trn"]
OTHERS += ["resnet_tiny/tsn:motion_squeeze=true"]


@pytest.mark.slow
@pytest.mark.parametrize("network", OTHERS)
@pytest.mark.parametrize("form", FORMATS)
def test_other_networks(form, network, tmp_path, capsys):
    argv = (f"--network={network}", "--format", form)
    line, _ = run(capsys, tmp_path / "file", *argv)
    assert 0 < line["largest_difference"] <= 1e-4
