"""One block as 3-D convolution, as 2-D convolution and shift, and as RubiksShift."""

import json

import pytest

from vidshift import cli
from vidshift.cost import block_costs


def run(capsys, *arguments):
    assert cli.run(["cost", "--blocks", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_papers_factors_and_the_parts_by_hand(capsys):
    """RubiksNet's section A4: "~25x fewer FLOPs/params" and "~8x fewer"."""
    rows = {
        (r["block"], r["measure"]): r for r in map(json.loads, run(capsys, "--json"))
    }
    assert len(rows) == 6
    for (block, _), row in rows.items():
        printed = row["published_times_rubiks"]
        assert int(row["times_rubiks"]) == (printed or 1), block
        assert sum(row["shares"].values()) == pytest.approx(1)
        assert row["total"] == sum(row[part] for part in block_costs.PARTS)
    rubiks = rows["RubiksShift", "parameters"]
    # Two 1x1 convolutions, two norms' scale and bias, a (t, h, w) for each channel.
    parts = {"convolutions": 2 * 72**2, "batch_norms": 4 * 72, "shift": 3 * 72}
    assert {part: rubiks[part] for part in parts} == parts
    # Places times: two products a pair of channels; two a norm's element, six a shift's.
    places = 8 * 112 * 112
    rubiks = rows["RubiksShift", "macs"]
    parts = {"convolutions": 2 * 72**2, "batch_norms": 4 * 72, "shift": 6 * 72}
    assert {part: rubiks[part] for part in parts} == {
        part: places * n for part, n in parts.items()
    }
    for block, taps in (("3-D convolution", 27), ("2-D convolution, shift", 9)):
        row = rows[block, "macs"]
        assert row["convolutions"] == taps * rubiks["convolutions"]
        assert row["shift"] == 0 and row["batch_norms"] == rubiks["batch_norms"]
        assert row["saved"] == pytest.approx(
            1 - row["total"] / rows["3-D convolution", "macs"]["total"]
        )


def test_the_table_of_blocks_has_no_empty_cell(capsys):
    lines = run(capsys)
    assert len(lines) == 2 + 6 and all("|  |" not in line for line in lines)
    assert "| RubiksShift | parameters | 10,872 | 10,368 (95.4%) |" in lines[-1]


@pytest.mark.parametrize("given", ["resnet18/tsm", "--side=32"])
def test_blocks_take_no_network_and_no_size(given, capsys):
    assert cli.run(["cost", "--blocks", given]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and "takes no network and no size" in err
