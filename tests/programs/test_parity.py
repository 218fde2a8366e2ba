"""The parity command on golden cases of the official code, and where it must fail."""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.files import GOLDEN
from tests.torch_weights.test_load import state_dict
from vidshift import cli, create, load_torch, parity
from vidshift.nets.drawn import made_up_weight

CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))
# Of an official state dict, arrays that are no parameters of ours.
STATISTICS = ("running_mean", "running_var", "num_batches_tracked", ".T")
# What float32 rounding leaves is below 2e-6 but for these.
TOLERANCES = {
    "slow_8x8_r50": 1e-5,
    "slowfast_4x16_r50": 1e-5,
    "slowfast_8x8_r50": 1e-5,
    # The made-up weights' scores reach 3,000, which nothing scales down before the
    # softmax: rounding in float32 shows, by 1e-5 to 5e-5 with the order of its sums. In
    # float64 both outputs differ by 7e-6.
    "tsm_nl_r50_8f": 1e-4,
}


@pytest.mark.exhaustive(
    but=(
        "tsm_nl_r50_8f",
        "tsm_r18_8f",
        "tsm_r50_block_8f",
        "tsm_mobilenetv2_8f",
        "tsm_online_mobilenetv2",
        "gsf_r50_8f",
        "gsf_bninception_8f",
        "gsm_inceptionv3_4f",
        "rubiksnet_tiny_aq",
        "rubiksnet_small",
        "slow_8x8_r50",
        "slowfast_4x16_r50",
    )
)
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_official_networks(case, capsys):
    path = GOLDEN / f"{case}.json"
    assert cli.run(["parity", str(path)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert set(row) == {"case", "relative_error", "parameters"}
    official = json.loads(path.read_text())["state_dict"]
    sizes = [math.prod(s) for name, s in official if not name.endswith(STATISTICS)]
    assert row["case"] == case and row["parameters"] == sum(sizes)
    assert row["relative_error"] < TOLERANCES.get(case, 2e-6)


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> pathlib.Path:
    """A case of `resnet_tiny` whose golden output is our own."""
    path = tmp_path_factory.mktemp("parity") / "tiny.json"
    names = {"backbone": "resnet_tiny", "temporal": "tsm"}
    case = {
        "name": "tiny",
        "create": names | {"num_classes": 4, "num_frames": 2},
        "num_frames": 2,
        "size": 8,
        "batch": 2,
        "input_seed": 3,
        "state_dict": [[name, array.shape] for name, array in state_dict().items()],
    }
    path.write_text(json.dumps(case))
    model = nnx.eval_shape(lambda: create(**case["create"]))
    load_torch(model, state_dict())
    clip = jnp.asarray(parity.made_up_clip(case))
    np.savez(path.with_suffix(".npz"), logits=jax.jit(lambda c: model(c))(clip))
    return path


def with_logits(case: pathlib.Path, directory: pathlib.Path, change) -> str:
    """A copy of the case whose golden logits are changed."""
    copy = directory / case.name
    copy.write_text(case.read_text())
    logits = np.load(case.with_suffix(".npz"))["logits"]
    np.savez(copy.with_suffix(".npz"), logits=change(logits))
    return str(copy)


def test_prints_a_line_a_case(case, capsys):
    assert cli.run(["parity", str(case), str(case)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["case"] for row in rows] == ["tiny", "tiny"]
    assert rows[0]["parameters"] == 77_392 + 4 * 65
    assert all(row["relative_error"] < 2e-6 for row in rows)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda y: y + np.float32(0.01) * abs(y).max(), 0.01),
        (lambda y: y * np.nan, np.nan),
    ],
)
def test_another_result_is_an_error(case, change, error, tmp_path, capsys):
    assert cli.run(["parity", with_logits(case, tmp_path, change)]) == 1
    found = json.loads(capsys.readouterr().out)["relative_error"]
    np.testing.assert_allclose(found, error, rtol=0.02)


def test_what_cannot_run_is_one_line_and_the_rest_goes_on(case, tmp_path, capsys):
    missing = tmp_path / "no-such.json"
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{")
    assert cli.run(["parity", str(missing), str(damaged), str(case)]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    first, second = err.splitlines()
    assert first.startswith(f"parity: {missing}: ") and "No such file" in first
    assert second.startswith(f"parity: {damaged}: ")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_damaged_golden_file_is_one_line(case, content, tmp_path, capsys):
    copy = tmp_path / case.name
    copy.write_text(case.read_text())
    copy.with_suffix(".npz").write_bytes(content)
    assert cli.run(["parity", str(copy)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"parity: {copy}: ")


def test_golden_weights_are_those_of_the_recipe():
    # The first values of the recipe that the golden files were made by.
    weight = made_up_weight("base_model.conv1.weight", (64, 3, 7, 7))
    assert weight.dtype == np.float32
    assert abs(weight.std() * (3 * 7 * 7) ** 0.5 - 1) < 0.02
    var = made_up_weight("bn1.running_var", (1000,))
    assert 0.5 <= var.min() < 0.51 and 1.49 < var.max() <= 1.5
    assert made_up_weight("bn1.num_batches_tracked", ()).dtype == np.int64
