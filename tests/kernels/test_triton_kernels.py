"""All Triton kernels together: names in loops, and which of them the tests run."""

import ast
import itertools
import textwrap
from collections import defaultdict

import jax
import pytest

from tests.kernels.interpolated import test_triton as interpolated
from tests.kernels.interpolated_conv import test_triton as interpolated_conv
from tests.kernels.temporal import test_triton as temporal
from tests.support.files import ROOT
from tests.support.jit_names import called_names, jit_functions, shared_names
from tests.support.ttir.launch import launches, needs_triton

FUNCTIONS = jit_functions(sorted(ROOT.glob("vidshift/kernels/**/*.py")))
ENTRIES = FUNCTIONS.keys() - set().union(*map(called_names, FUNCTIONS.values()))


def test_no_two_names_for_one_tensor_where_a_loop_begins():
    assert len(FUNCTIONS) > 20
    assert shared_names(FUNCTIONS) == []


LOOP = """
    for i in range(n):
        before = here
        here = i
"""


@pytest.mark.parametrize(
    ("found", "before_the_loop"),
    [
        (True, "here = before"),
        (True, "here = before = tl.zeros([2], tl.int32)"),
        (True, "here, before = zero, zero"),
        (True, "here = before.to(tl.float32)"),
        (True, "here = tl.cast(before, tl.float32)"),
        (True, "here = before if FLAG else zero"),
        (True, "if FLAG:\n        here = before"),
        (False, "here = before + 0"),
        (False, "other = before"),  # which the loop does not change
    ],
)
def test_names_for_one_tensor_are_found(found, before_the_loop):
    text = f"def kernel(before, zero, FLAG, n):\n    {before_the_loop}{LOOP}"
    function = ast.parse(text).body[0]
    assert bool(shared_names({"kernel": function})) == found


def test_names_for_one_tensor_are_found_across_functions():
    text = f"""
    def carry(before, here, n):{textwrap.indent(LOOP, "    ")}
    def kernel(zero, one):
        carry(zero, one, 3)
        carry(zero, zero, 3)
        return one, zero, one
    """
    functions = {f.name: f for f in ast.parse(textwrap.dedent(text)).body}
    found = shared_names(functions)
    assert [line.partition(": ")[2] for line in found] == [
        "one and one",
        "before and here",
    ]


@needs_triton
@pytest.mark.slow
def test_every_kernel_runs_with_every_flag():
    """A kernel, or a combination of its flags, needs a case."""
    tables = (interpolated, interpolated_conv, temporal)
    with launches(evaluated=False) as launched:
        for table in tables:
            for name in table.CASES:
                jax.eval_shape(lambda table=table, name=name: table.launch(name))
    flags = defaultdict(set)
    for launch in launched:
        flags[launch.kernel].add(
            tuple((k, v) for k, v in launch.constants.items() if isinstance(v, bool))
        )
    assert flags.keys() == ENTRIES
    for kernel, combinations in flags.items():
        names = [name for name, _ in next(iter(combinations))]
        every = itertools.product(*[[(name, False), (name, True)] for name in names])
        assert combinations == set(every), kernel
    page = (ROOT / "docs/kernels.md").read_text()
    assert all(f"`{kernel}`" in page for kernel in flags)
