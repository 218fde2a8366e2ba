"""`vidshift measure`: its parts as processes, what is kept of them, and the tables."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.commands import environment
from tests.support.files import ROOT
from vidshift import cli
from vidshift.commands import measure as command
from vidshift.kernels.analysis import chips
from vidshift.measure import device, folder, page, program
from vidshift.measure.parts import PARTS

ABOUT = {
    "device": "NVIDIA Made-Up",
    "platform": "cuda",
    "driver": "1.2",
    "peak_flops": {"bfloat16": 1e12, "float32": 5e11},
    "cores": 16,
    "python": "3.11",
    "jax": "0.10.2",
    "torch": None,
    "vidshift": "0.0",
    "commit": "abc",
    "small": False,
    "dtype": "bfloat16",
    "date": "1 January 2000",
    "command": "vidshift measure --out DIR",
}
TIMES = {"seconds": 0.01, "seconds_quartiles": [0.009, 0.012], "error": None}
NETWORK = TIMES | {
    "measure": "train",
    "batch": 16,
    "frames": 8,
    "side": 224,
    "dtype": "bfloat16",
    "clips_per_second": 1600.0,
    "program_bytes": 2e9,
    "flops": 2.5e9,
}


def check(implementation, wrong=()):
    return {
        "key": implementation,
        "op": "shift3d",
        "shape": "odd",
        "dtype": "bfloat16",
        "implementation": implementation,
        "errors": {"y": 1e-3, "dx": None if wrong else 2e-3},
        "wrong": list(wrong),
    }


def part(*rows, jobs=None, note=None):
    return {"rows": list(rows), "jobs": jobs or len(rows), "note": note}


def network(name, **fields):
    backbone, temporal = name.split("/")
    names = {"key": name, "name": name, "backbone": backbone, "temporal": temporal}
    return names | NETWORK | fields


def operation(name, kind, seconds, count=10):
    fields = {"program": "f", "ours": kind == "our kernels"}
    return fields | {"name": name, "kind": kind, "seconds": seconds, "count": count}


MEASURED = {
    "about": ABOUT,
    "parts": {
        "check": part(check("xla"), check("triton", wrong=["dx"])),
        "networks": part(
            network("resnet50/tsn", times_tsn=1.0),
            network("resnet50/tsm", times_tsn=1.1, seconds=0.011),
            jobs=8,
            note="cut off after 60 s",
        ),
        "bench": part(
            TIMES
            | {"key": "b", "op": "shift3d", "shape": "rubiks_56", "of_copy": 0.5}
            | {"direction": "forward", "implementation": "triton", "over_xla": 4.0}
            | {"error": None},
            {"key": "c", "implementation": "pallas_tpu"}
            | {"not_here": "pallas_tpu: needs a TPU"},
        ),
        "profile": part(
            network("resnet50/tsm")
            | {"steps": 5}
            | {"operations": {"seconds": 0.1, "operations": 50}}
            | {"ours": {"seconds": 0.02, "operations": 5}}
            | {"gaps": {"seconds": 0.01, "operations": 40}}
            | {"kinds": [operation("elementwise", "elementwise", 0.08)]}
            | {"largest": [operation("loop_fusion_1", "elementwise", 0.06)]},
        ),
        "more": part(
            network("resnet50/gsf", times_tsn=None),
            {"key": "resnet50/vsn", "error": "out of memory"},
        ),
        "pytorch": part(
            network("resnet50/tsm-cat", how="eager", torch="2", torchvision="3")
            | {"seconds": 0.022, "cuda": "13", "cudnn": 9},
        ),
        "papers": part(
            network("resnet50/gsf", measure="latency", blocks=7)
            | {"table": "GSF Table 12", "published_device": "Titan V", "label": "GSF"}
            | {"published": "12.40", "base": "TSM", "published_times_base": "1.634"}
            | {"times_base": 1.5, "times_base_quartiles": [1.4, 1.6]},
        ),
    },
}


def test_the_page_of_a_measurement():
    text = page.render(MEASURED)
    for line in (
        "# Measured on NVIDIA Made-Up",
        "| `shift3d` | xla | bfloat16 | 1 | 2.0e-03 | dx at `odd` | yes |",
        "| `shift3d` | triton | bfloat16 | 1 | nan | dx at `odd` | **1 wrong** |",
        "- shift3d triton at odd (bfloat16): dx nan",
        (
            "| `resnet50/tsm` | train | 16 | 8 | 11.000 | 9.000 to 12.000 | 1600.0 | 2000 "
            "| 1.100 | 22.7% |"
        ),
        "The part was cut off after 60 s. 6 rows are missing.",
        (
            "| `shift3d` | `rubiks_56` | forward | triton | 10000.0 | 9000.0 to 12000.0 "
            "| 0.50 | 4.00 |"
        ),
        "Not measured, `pallas_tpu`: needs a TPU.",
        "| 16.000 | 80.0% | 2 | elementwise |",
        "| 12.000 | 60.0% | 2 | `loop_fusion_1` |",
        (
            "| `resnet50/gsf` | train | 16 | 8 | 10.000 | 9.000 to 12.000 | 1600.0 | 2000 "
            "| 25.0% |"
        ),
        "Not measured, `resnet50/vsn`: out of memory.",
        (
            "| `resnet50/tsm-cat` | eager | train | 16 | 22.000 | 9.000 to 12.000 | 1600.0 "
            "| 2.00 |"
        ),
        "GSF Table 12; paper: Titan V; here: bfloat16, frames of 224 x 224.",
        (
            "| GSF | `resnet50/gsf` | latency | 12.40 ms | 10.00 ms | 9.00 to 12.00 | 7 "
            "| TSM | 1.634 | 1.500 | 1.400 to 1.600 |"
        ),
    ):
        assert line in text.splitlines(), line
    assert "our kernels 4.000 ms (20.0%)" in text
    assert "| |" not in text and "|  |" not in text  # no empty cells
    assert page.unfinished(MEASURED) == ["networks"]


@pytest.mark.parametrize("name", PARTS)
def test_a_part_without_rows_has_no_table(name):
    nothing = {"rows": [], "jobs": None, "note": "cut off after 60 s"}
    text = page.render({"about": ABOUT, "parts": {name: nothing}})
    assert "The part was cut off after 60 s." in text and "|" not in text


def test_documents_are_what_their_measurement_gives():
    """A page measured_*.md in docs/ is written from the JSON beside it."""
    for path in sorted((ROOT / "docs").glob("measured_*")):
        measured = json.loads(path.with_suffix(".json").read_text())
        assert path.with_suffix(".md").read_text() == page.render(measured)


def test_the_commands_parts_are_the_tables():
    assert tuple(PARTS) == command.PARTS


def run(tmp_path, *arguments):
    return cli.run(["measure", f"--out={tmp_path}", *arguments])


@pytest.fixture
def pretend(monkeypatch):
    """Makes parts of programs: name -> the text of a program, run as a process."""
    texts, about = {}, dict(ABOUT)
    monkeypatch.setattr(program, "facts", lambda options: dict(about))
    monkeypatch.setattr(program, "_missing_for_pytorch", lambda: None)
    monkeypatch.setattr(
        program,
        "command",
        lambda name, folder, about: [
            *(sys.executable, "-S", "-c"),
            texts.get(name, "print('{\"jobs\": 0}')"),
        ],
    )
    monkeypatch.setattr(program, "LEAST_SECONDS", 0.1)
    texts["about"] = about
    return texts


def printing(*lines, then=""):
    text = "".join(f"print({json.dumps(line)!r}, flush=True)\n" for line in lines)
    return text + then


def test_a_part_that_hangs_costs_its_own_rows_alone(pretend, tmp_path, capsys):
    rows = [network("resnet50/tsn", times_tsn=1.0)]
    hang = "print('{\"key\"', end='', flush=True)\nimport time\ntime.sleep(60)"
    pretend["networks"] = printing({"jobs": 2}, *rows, then=hang)
    pretend["more"] = printing({"jobs": 1}, network("resnet50/gsf", times_tsn=None))
    pretend["check"] = "raise RuntimeError('a fault')"
    parts = ("--parts", "check", "networks", "more")
    assert run(tmp_path, *parts, "--minutes=0.03") == 0
    out = capsys.readouterr().out
    assert "check: 0 rows (ended with code 1: RuntimeError: a fault)" in out
    assert "networks: 1 rows, 1 missing (cut off after " in out
    assert "more: 1 rows\n" in out
    pretend["networks"] = printing({"jobs": 2}, network("resnet50/tsm", times_tsn=1.1))
    assert run(tmp_path, "--parts=networks") == 0
    text = (tmp_path / "measured.md").read_text()
    assert "`resnet50/tsn`" in text and "`resnet50/tsm`" in text
    assert "`resnet50/gsf`" in text and "cut off" not in text
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert text == page.render(measured)


def test_a_wrong_kernel_is_the_exit_code(pretend, tmp_path, capsys):
    pretend["check"] = printing({"jobs": 1}, check("triton", wrong=["dx"]))
    assert run(tmp_path, "--parts=check") == 1
    assert "WRONG: shift3d triton at odd" in capsys.readouterr().err
    assert run(tmp_path, "--render") == 1


def test_a_kernel_that_does_not_run_is_the_exit_code(pretend, tmp_path, capsys):
    row = check("triton") | {"failed": "INTERNAL: a fault"}
    pretend["check"] = printing({"jobs": 1}, row)
    assert run(tmp_path, "--parts=check") == 1
    said = capsys.readouterr()
    assert "triton at odd (bfloat16): INTERNAL: a fault" in said.err
    assert "check: 0 rows, 1 missing, 1 failed" in said.out


def test_another_device_is_refused(pretend, tmp_path, capsys):
    pretend["check"] = printing({"jobs": 1}, check("xla"))
    assert run(tmp_path, "--parts=check") == 0
    pretend["about"] |= {"jax": "0.12.0", "date": "2 January 2000"}
    assert run(tmp_path, "--parts=check") == 2
    err = capsys.readouterr().err
    assert "jax '0.10.2' there and '0.12.0' here" in err and "date" not in err
    pretend["check"] = printing({"jobs": 0})
    assert run(tmp_path, "--parts=check", "--restart") == 0
    assert folder.Folder(tmp_path).read("check")["rows"] == []


def test_nothing_to_render(tmp_path, capsys):
    assert run(tmp_path, "--render") == 2
    assert "nothing has been measured there" in capsys.readouterr().err


def test_rows_that_failed_are_tried_again(tmp_path):
    place = folder.Folder(tmp_path)
    place.add("check", {"key": "a", "failed": "a fault"})
    place.add("check", {"key": "b"})
    with place.file("check").open("a") as file:
        file.write('{"key": "c"')
    assert folder.done(place.file("check")) == {"b"}
    place.add("check", {"key": "a"})
    assert folder.done(place.file("check")) == {"a", "b"}


def test_a_cpu_is_not_measured_at_full_size(monkeypatch, tmp_path, capsys):
    answer = json.dumps(ABOUT | {"platform": "cpu"})
    done = subprocess.CompletedProcess([], 0, f"a word\n{answer}\n", "")
    monkeypatch.setattr(program.subprocess, "run", lambda *_, **__: done)
    assert run(tmp_path) == 2
    assert "--small measures small ones" in capsys.readouterr().err


def test_facts_of_this_device():
    facts = device.facts()
    assert (facts["platform"], facts["peak_flops"]) == ("cpu", None)
    assert facts["device"] and facts["jax"] and facts["python"]
    assert set(page.VERSIONS) <= set(facts)
    assert chips.of_device("NVIDIA H200").peak_flops["bfloat16"] == 989e12


def test_pytorchs_script_says_what_it_misses(tmp_path):
    # Before any torch that is installed: one that is not.
    (tmp_path / "torch.py").write_text("raise ImportError('No module named torch')")
    done = subprocess.run(
        [sys.executable, ROOT / "vidshift" / "measure" / "pytorch.py"],
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == (
        "pytorch.py: error: No module named torch; pip install torch torchvision\n"
    )


# What `pip install jax flax optax jaxtyping jax-triton` does not bring along.
BLOCKED = "av PIL matplotlib tensorflow_datasets array_record ml_collections chex "
BLOCKED += "tensorboardX tqdm safetensors filelock flatbuffers shtab torch tensorflow"
SITE = f"""
import sys
class Block:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {set(BLOCKED.split())!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block)
"""


@pytest.mark.slow
def test_without_packages_of_data(tmp_path):
    """The command as a process, all but PyTorch; each part starts with its jobs."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    out = tmp_path / "out"
    paths = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "vidshift", "measure", f"--out={out}", "--small"]
        + ["--parts", "check", "bench", "profile", "papers", "--minutes=8"],
        check=False,
        cwd=tmp_path,
        env=os.environ | environment() | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for name in ("check", "bench", "profile", "papers"):
        assert folder.Folder(out).read(name)["jobs"], (out / f"{name}.log").read_text()
    text = (out / "measured.md").read_text()
    assert "| `shift3d_conv` | none named | bfloat16 |" in text
    assert "convolutions and products" in text
    assert "needs an NVIDIA GPU" in text
