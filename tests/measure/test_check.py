"""The check of the kernels finds a wrong one, and compiles what it compares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidshift.kernels.analysis.compiling import compile_all
from vidshift.kernels.analysis.shapes import SHAPES
from vidshift.measure import check, kernel_times, more_networks, networks, step_profile
from vidshift.measure.check import Check
from vidshift.measure.parts import Settings

SMALL = Settings("cpu", "bfloat16", True)
GPU = Settings("cuda", "bfloat16", False)


def test_every_implementation_at_every_shape_and_edge():
    keys = check.keys(GPU)
    assert len(keys) == len(set(keys))
    # Edges in two types; xla, triton, and for shift3d_conv what runs with none named.
    assert len(keys) == sum(
        (len(SHAPES[op]) + 2 * len(check.EDGES[op]))
        * (3 if op == "shift3d_conv" else 2)
        for op in SHAPES
    )
    assert "shift3d one_frame float32 triton" in keys
    assert not any("pallas" in key for key in keys)


def test_errors_of_a_wrong_result():
    case = Check("shift3d", check.SHIFT3D[1], "float32")
    wanted = [jnp.ones((4, 4)), jnp.zeros(3), jnp.full(2, 10.0)]
    assert check.relative_errors(wanted, wanted) == [0, 0, 0]
    wrong = [wanted[0].at[0, 0].set(2.0), wanted[1], wanted[2].at[0].set(jnp.nan)]
    errors = check.relative_errors(wrong, wanted)
    assert errors[0] == pytest.approx(0.25) and np.isnan(errors[2])
    row = check.verdict(case, errors, [0.0, 0.0, 0.0])
    assert row["wrong"] == ["y", "dshift"] and row["errors"]["dshift"] is None
    # As far off as xla is in the same type.
    assert check.verdict(case, [3e-3] * 3, [2e-3] * 3)["wrong"] == []
    assert check.verdict(case, [2e-5] * 3, [0.0] * 3)["wrong"] == ["y", "dx", "dshift"]


@pytest.mark.parametrize("op", check.EDGES)
def test_inputs_have_what_an_edge_asks_for(op):
    for shape in check.EDGES[op]:
        case = Check(op, shape, "bfloat16")
        arrays = dict(zip([*case.primals(), "dy"], case.inputs(), strict=True))
        kinds = [(a.shape, a.dtype) for a in arrays.values()]
        assert kinds == [(a.shape, a.dtype) for a in case.arguments()]
        if "shift" in arrays:
            whole = (np.asarray(arrays["shift"]) % 1 == 0).all(0)
            assert whole[:3].all() and not whole[3:].any()
        if shape.out_channels:
            weight = np.asarray(arrays["weight"])
            np.testing.assert_array_equal(weight, weight.astype("bfloat16"))
            assert len(case.results) == len(arrays)


def test_a_program_that_does_not_compile_is_its_own_error():
    def fails():
        raise ValueError("a fault")

    lower = [(n, lambda n=n: jax.jit(lambda x: x * n).lower(1.0)) for n in range(5)]
    lower.insert(2, ("fault", fails))
    found = list(compile_all(lower))
    assert [key for key, _ in found] == [0, 1, "fault", 2, 3, 4]
    assert str(found[2][1]) == "a fault"
    assert float(found[5][1](2.0)) == 8


def test_a_fault_in_an_implementation_is_found(monkeypatch):
    """An implementation whose gradient lacks a channel, as one that runs here."""
    case = Check("shift3d_conv", check.EDGES["shift3d_conv"][1], "float32")
    monkeypatch.setattr(check, "checks", lambda settings: [case])
    right = Check.function

    def function(self, name):
        made = right(self, name)
        if name != check.CHOSEN:
            return made

        def faulty(*arrays):
            y, dx, *others = made(*arrays)
            return y, dx.at[..., 0].set(0), *others

        return faulty

    monkeypatch.setattr(Check, "function", function)
    rows = {
        row["implementation"]: row for row in check.rows(SMALL, set(check.keys(SMALL)))
    }
    assert rows["xla"]["wrong"] == []
    assert rows[check.CHOSEN]["wrong"] == ["dx"]
    assert rows[check.CHOSEN]["errors"]["y"] == 0


@pytest.mark.parametrize("settings", [SMALL, GPU])
def test_keys_are_names_of_rows(settings):
    for module in (networks, more_networks, kernel_times, step_profile):
        keys = module.keys(settings)
        assert keys and len(set(keys)) == len(keys)
    assert set(step_profile.keys(settings)) < set(networks.keys(settings))


def test_clips_have_a_networks_own_frames():
    shapes = {
        job.network.name: job.shape
        for wave in networks.waves(GPU, more_networks.NAMES)
        for group in wave
        for job in group
        if job.measure == "train"
    }
    assert shapes["slowfast_4x16_r50/tsn"] == (16, 32, 224, 224, 3)
    assert shapes["rubiksnet_tiny/tsn"] == (16, 8, 224, 224, 3)


def test_the_networks_shapes_are_timed_first():
    names = [group[0].shape.name for group in kernel_times.groups(GPU)]
    assert names[:4] == ["tsm_56"] * 4
    assert set(names[: len(names) // 2]) >= set(kernel_times.FIRST)
