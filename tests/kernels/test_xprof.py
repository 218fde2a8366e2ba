"""xprof reads the traces of `vidshift bench --trace`. Run by `.ci/run xprof`."""

import json

import jax
import pytest

from vidshift.kernels import bench
from vidshift.kernels.analysis import cases
from vidshift.kernels.analysis.shapes import Shape

tools = pytest.importorskip(
    "xprof.convert.raw_to_tool_data", reason="xprof missing: pip install xprof"
)

SMALL = Shape("small", (2, 8, 4, 4, 16), {"fold": 2, "direction": "both"})


def test_operations_have_their_names_in_xprof(tmp_path):
    chosen = [
        case._replace(shape=SMALL)
        for case in cases.all_cases(op="temporal_shift", implementation="xla")[:2]
    ]
    compiled = [
        (case, jax.jit(case.function()).lower(*bench.inputs(case)).compile())
        for case in chosen
    ]
    bench.record(compiled, str(tmp_path))
    (trace,) = map(str, tmp_path.rglob("*.xplane.pb"))
    text, _ = tools.xspace_to_tool_data([trace], "trace_viewer", {})
    events = [e for e in json.loads(text)["traceEvents"] if e.get("ph") == "X"]
    programs = {e.get("args", {}).get("hlo_module", "") for e in events}
    names = {case.name for case in chosen}
    assert names == {f"temporal_shift_{d}_xla" for d in ("forward", "backward")}
    assert names <= {event["name"] for event in events}
    assert names <= {program.removeprefix("jit_") for program in programs}
