"""First training steps against the official code's, in float64 on both sides."""

import json

import jax
import numpy as np
import pytest

from tests.support.files import GOLDEN
from tests.torch_weights.test_load import state_dict
from vidshift import cli
from vidshift.training import official_steps
from vidshift.training.official_steps import KINDS, compare_steps

CASES = sorted(path.stem for path in (GOLDEN / "training").glob("*.json"))


@pytest.mark.exhaustive(but=("tsm_r18",))
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_official_steps(case):
    path = GOLDEN / "training" / f"{case}.json"
    golden = dict(np.load(path.with_suffix(".npz")))
    row = compare_steps(json.loads(path.read_text()), golden, steps=5)
    # The command allows 1e-6 and 1e-5; rounding is far below, and grows by the step.
    assert max(row[kind] for kind in KINDS) < 1e-9
    assert max(row["losses"]) < 1e-8


def own_case(**optim) -> dict:
    """A case of `resnet_tiny`."""
    names = {"backbone": "resnet_tiny", "temporal": "tsm"}
    return {
        "name": "tiny",
        "create": names | {"num_classes": 4, "num_frames": 2},
        "training": {"optim": {"groups": "tsm_fc5", "schedule": "step"} | optim},
        "num_frames": 2,
        "size": 8,
        "batch": 2,
        "input_seed": 3,
        "state_dict": [[name, array.shape] for name, array in state_dict().items()],
    }


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """Figures of our own in the place of official ones."""
    with jax.enable_x64(True):
        losses, arrays = official_steps._train(own_case(), 2)
    rows = {"losses": losses}
    for kind, figures in zip(KINDS, arrays, strict=True):
        rows[f"{kind}_names"] = np.array(list(figures))
        rows[f"{kind}_figures"] = np.array(list(figures.values()))
    return rows


@pytest.mark.slow
def test_the_command_prints_the_errors(golden, tmp_path, capsys):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(own_case()))
    np.savez(path.with_suffix(".npz"), **golden)
    assert cli.run(["parity", str(path)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert {"case", "relative_error", "losses", "parameters", *KINDS} == row.keys()
    assert row["relative_error"] < 1e-12 and len(row["losses"]) == 2

    changed = golden | {"gradient_figures": golden["gradient_figures"] * (1 + 2e-6)}
    np.savez(path.with_suffix(".npz"), **changed)
    assert cli.run(["parity", str(path)]) == 1
    row = json.loads(capsys.readouterr().out)
    assert 1e-6 < row["gradient"] < 1e-5
    assert row["parameter"] < 1e-12


def test_another_rule_of_the_update_shows_in_the_parameters(golden):
    """A head's bias with its decay, and nothing else."""
    row = compare_steps(own_case(groups="slowfast"), golden, steps=2)
    assert row["gradient"] < 1e-12 and row["statistic"] < 1e-12
    assert row["parameter"] > 1e-5 and row["losses"][1] > 1e-5


@pytest.mark.slow
def test_arrays_of_one_side_alone_are_named(golden):
    names = golden["statistic_names"]
    fewer = {"statistic_names": names[:-1]}
    with pytest.raises(
        ValueError, match=f"only one side has a statistic of {names[-1]}"
    ):
        compare_steps(own_case(), golden | fewer, steps=1)
