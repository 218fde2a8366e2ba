"""Parameters and multiplications: counted by hand, and what the papers print."""

import json

import jax
import jax.numpy as jnp
import pytest

from kernels.flops import flops
from vidshift import cost
from vidshift.nets.names import parse
from vidshift.published import ROWS, Published


def count(name, counts="products", *, classes=4, frames=2, side=8):
    return cost.cost(
        parse(name), classes=classes, frames=frames, side=side, counts=counts
    )


def test_a_small_network_by_hand():
    # Two frames of 8 x 8. Stem 3 -> 16, stride 2; blocks of two 3 x 3 convolutions on
    # 4 x 4, 2 x 2 and 1 x 1 places, two of them with a projection; a head of 4 classes.
    stem = 16 * 9 * 3 * 16
    first = 2 * (16 * 9 * 16 * 16)
    second = 4 * 9 * (16 * 32 + 32 * 32) + 4 * 16 * 32
    third = 9 * (32 * 64 + 64 * 64) + 32 * 64
    found = count("resnet_tiny/tsm")
    assert found.macs == found.macs_as_source
    assert found.macs == 2 * (stem + first + second + third + 64 * 4)
    assert found.parameters == 77_392 + 4 * 65


def test_elements_of_norms_count_where_a_source_counts_them():
    norms = 2 * (3 * 16 * 16 + 3 * 4 * 32 + 3 * 64)  # two frames
    plain, thop = count("resnet_tiny/tsm"), count("resnet_tiny/tsm", "thop")
    assert plain.macs == thop.macs
    assert thop.macs_as_source == plain.macs + 4 * norms


def test_frames_multiply_products_not_parameters():
    short, long = count("resnet_tiny/tsn"), count("resnet_tiny/tsn", frames=6)
    assert long.macs == 3 * short.macs and long.parameters == short.parameters


@pytest.mark.parametrize(
    ("ours", "printed", "same"),
    [
        (16.28, "16", True),  # rounds to it
        (16.51, "16", False),
        (33.3, "33", True),  # within 1 %
        (32.9, "33.0", True),
        (32.6, "33.0", False),
        (10.449, "10.45", True),
        (7.0, "", True),
    ],
)
def test_agreement_with_what_is_printed(ours, printed, same):
    assert cost.agrees(ours, printed) == same


def run(capsys, *arguments):
    assert cost.main(list(arguments)) == 0
    return capsys.readouterr().out.splitlines()


FIELDS = {"name", "width", "side", "frames", "parameters", "macs"}
FIELDS |= {"published_parameters", "published_macs", "source"}


def test_published_rows_of_a_network(capsys):
    lines = run(capsys, "resnet50/tsm", "--json", "--frames=8")
    (row,) = map(json.loads, lines)
    assert row.keys() >= FIELDS
    assert (row["name"], row["width"]) == ("resnet50/tsm", 1.0)
    assert (row["side"], row["frames"], row["classes"]) == (224, 8, 400)
    assert row["parameters"] == 24_327_632
    assert row["published_parameters"] == 24_300_000
    assert (
        row["macs"] == 32_703_643_648
    )  # conv + fc, the figure of thop's 0.1.1 less BN
    assert row["published_macs"] == 33_000_000_000
    assert "TSM Table" in row["source"] and row["agrees"]


def test_rows_of_the_same_network_by_other_words(capsys):
    rows = [json.loads(line) for line in run(capsys, "resnet50/gsf", "--json")]
    assert {row["name"] for row in rows} == {
        "resnet50/gsf",
        "resnet50/gsf:ratio=0.25",
    }
    interpolated = parse('rubiksnet_tiny:variant="interpolated"')
    assert interpolated.without_defaults() == parse("rubiksnet_tiny")
    other = parse("resnet50/gsf:ratio=0.5,modules=16")
    assert other.without_defaults() == other


@pytest.mark.parametrize("option", ["--side=0", "--frames=-3", "--classes=x"])
def test_sizes_are_whole_numbers_from_1(option, capsys):
    with pytest.raises(SystemExit):
        cost.main(["resnet_tiny", option])
    assert option.split("=")[0] in capsys.readouterr().err


def test_any_other_network(capsys):
    (line,) = run(capsys, "resnet_tiny/tsm:fold_div=4", "--json", "--side=32")
    row = json.loads(line)
    assert row["name"] == "resnet_tiny/tsm:fold_div=4"
    assert (row["side"], row["frames"], row["classes"]) == (32, 8, 400)
    assert row["published_macs"] is None and row["source"] == ""


def test_a_table(capsys):
    heading, ruler, line = run(capsys, "resnet_tiny", "--classes=4", "--side=8")
    assert heading.count("|") == ruler.count("|") == line.count("|")
    assert line.startswith("| `resnet_tiny/tsn` | 4 | 8 x 8² | 77,652 |  | 0.00 G |")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet5/tsm", "did you mean"),
        ("resnet18/tsm:fold=8", "has no option fold"),
        ("resnet18/tsm:fold_div", "key=value"),
        ("resnet18/tsm:causal=true,causal=false", "causal is given twice"),
    ],
)
def test_wrong_names_are_one_line(name, said, capsys):
    assert cost.main([name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cost: error: ") and said in line


def test_a_difference_is_marked():
    row = cost.beside(
        Published("resnet_tiny/tsn", 4, 2, 8, "0.0776", "0.1", "nowhere", note="why")
    )
    assert not row["agrees"]
    assert cost._line(row).endswith("| 0.1 G | nowhere; **differs**; why |")


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", dict.fromkeys(ROWS), ids=lambda r: f"{r.source} {r.network}"
)
def test_what_the_papers_print(row):
    found = cost.beside(row)
    assert found["agrees"] or found["note"], found


def test_names_of_published_networks_are_written_as_we_write_them():
    for row in ROWS:
        assert parse(row.network).name == row.network


def test_windows_over_the_edge():
    x, w = jnp.zeros((1, 1, 4, 1)), jnp.zeros((1, 3, 1, 2))
    traced = jax.make_jaxpr(
        lambda x, w: jax.lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    )(x, w)
    assert flops(traced) == 2 * 2 * (2 + 3 + 3 + 2)
    assert flops(traced, hanging=True) == 2 * 2 * 4 * 3
