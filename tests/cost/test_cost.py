"""Parameters and multiplications: counted by hand, and what the papers print."""

import json

import jax
import jax.numpy as jnp
import pytest

from tests.support.files import ROOT
from vidshift import cli
from vidshift.cost import count as cost
from vidshift.cost import program as command
from vidshift.cost.published import ROWS, Published
from vidshift.kernels.analysis.flops import flops
from vidshift.nets.names import parse


def count(name, counts="products", *, classes=4, frames=2, side=8, in_channels=3):
    return cost.cost(
        parse(name),
        classes=classes,
        frames=frames,
        side=side,
        in_channels=in_channels,
        counts=counts,
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


def test_channels_of_a_frame_are_the_first_convolutions():
    rgb, flow = count("resnet_tiny/tsn"), count("resnet_tiny/tsn", in_channels=10)
    assert flow.parameters - rgb.parameters == 7 * 9 * 16
    assert flow.macs - rgb.macs == 2 * 16 * 7 * 9 * 16  # two frames of 4 x 4 places


@pytest.mark.slow
def test_an_ensemble_is_the_sum_of_its_networks():
    both = "resnet_tiny/tsm + resnet_tiny/gsf:ratio=0.5"
    row = cost.beside(Published(both, 4, (2, 6), 8, counts="thop", in_channels=(3, 10)))
    tsm = count("resnet_tiny/tsm", "thop")
    gsf = count("resnet_tiny/gsf:ratio=0.5", "thop", frames=6, in_channels=10)
    assert row["name"] == both
    assert (row["frames"], row["in_channels"]) == ((2, 6), (3, 10))
    for field in cost.Cost._fields:
        assert row[field] == getattr(tsm, field) + getattr(gsf, field)
    assert f"| `{both}` | 4 | (2 + 6) x 8² x (3 + 10) |" in command._line(row)


def test_sizes_of_an_ensemble_are_for_each_network_or_for_all():
    row = Published("resnet18 + resnet34", 4, (2, 6), 8)
    assert row.parts() == [("resnet18", 2, 3), ("resnet34", 6, 3)]
    with pytest.raises(ValueError):
        row._replace(frames=(2, 6, 6)).parts()


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
    assert cli.run(["cost", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


FIELDS = {"name", "width", "side", "frames", "parameters", "macs"}
FIELDS |= {"published_parameters", "published_macs", "source"}


@pytest.mark.slow
def test_published_rows_of_a_network(capsys):
    lines = run(capsys, "resnet50/tsm", "--json", "--num-frames=8")
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


def test_an_ensemble_by_name(capsys):
    both = "resnet_tiny + resnet_tiny/tsm"
    (line,) = run(
        capsys, both, "--json", "--side=8", "--num-classes=4", "--in-channels=2"
    )
    row = json.loads(line)
    one = count("resnet_tiny", frames=8, in_channels=2)
    assert row["name"] == "resnet_tiny/tsn + resnet_tiny/tsm" and row["frames"] == 8
    assert (row["parameters"], row["macs"]) == (2 * one.parameters, 2 * one.macs)


def published(name, **clips):
    """The names of the rows that a name gives, without counting them."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "beside", found.append)
        list(cost.rows([name], **clips))
    return [row.network for row in found if row.source]


@pytest.mark.slow
def test_options_written_out_are_the_same_network():
    same = ["resnet50/gsf"]
    assert published("resnet50/gsf:modules=16,ratio=0.25", frames=16) == same
    assert not published("resnet50/gsf:modules=15", frames=16)
    assert published('rubiksnet_tiny:variant="interpolated"') == ["rubiksnet_tiny/tsn"]
    assert not published('rubiksnet_tiny:variant="quantized"')
    both = "resnet50/vsn + resnet101/vsn"
    assert published(both) == [both]
    assert not published("resnet101/vsn + resnet50/vsn")


@pytest.mark.slow
def test_defaults_of_eight_published_frames(monkeypatch):
    same = ["resnet50/gsf:ratio=0.25", "resnet50/gsf:modules=16"]
    others = ["resnet50/gsf:ratio=0.5", "resnet50/gsf:modules=8", "resnet50/tsm"]
    few = tuple(row for row in ROWS if row.network in same + others)
    assert {row.network for row in few} == {*same, *others}
    monkeypatch.setattr(cost, "ROWS", few)
    assert published("resnet50/gsf", frames=8) == same


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2/tsm",
        "resnet50/i3d",
        "resnet50/vsn",
        "rubiksnet_tiny/tsn",
        "inception_v3/gsf",
        "slowfast_4x16_r50/tsn",
    ],
)
def test_a_published_network_is_the_same_when_built_again(name):
    first = cost._built(name, 8)
    cost._built.cache_clear()
    assert cost._built(name, 8) == first


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--side=0", "at least 1"),
        ("--num-frames=-3", "at least 1"),
        ("--num-classes=many", "invalid whole number"),
        ("--in-channels=1.5", "invalid whole number"),
    ],
)
def test_sizes_are_whole_numbers_from_one(option, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.run(["cost", "resnet_tiny", option])
    last = capsys.readouterr().err.splitlines()[-1]
    assert option.split("=")[0] in last and said in last


def test_any_other_network(capsys):
    (line,) = run(capsys, "resnet_tiny/tsm:fold_div=4", "--json", "--side=32")
    row = json.loads(line)
    assert row["name"] == "resnet_tiny/tsm:fold_div=4"
    assert (row["side"], row["frames"], row["classes"]) == (32, 8, 400)
    assert row["published_macs"] is None and row["source"] == ""


def test_a_table(capsys):
    heading, ruler, line = run(capsys, "resnet_tiny", "--num-classes=4", "--side=8")
    assert heading.count("|") == ruler.count("|") == line.count("|")
    assert line.startswith("| `resnet_tiny/tsn` | 4 | 8 x 8² | 77,652 |  | 0.00 G |")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet5/tsm", "did you mean"),
        ("resnet18/tsm:fold=8", "has no option fold"),
        ("resnet18/tsm:fold_div", "key=value"),
        ("resnet18/tsm:causal=true,causal=false", "causal is given twice"),
        ("resnet_tiny + resnet5", "did you mean"),
    ],
)
def test_wrong_names_are_one_line(name, said, capsys):
    assert cli.run(["cost", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vidshift cost: error: ") and said in line


def test_a_difference_is_marked():
    row = cost.beside(
        Published("resnet_tiny/tsn", 4, 2, 8, "0.0776", "0.1", "nowhere", note="why")
    )
    assert not row["agrees"]
    assert command._line(row).endswith("| 0.1 G | nowhere; **differs**; why |")


# Two of VSN under flow, two of SlowFast with fewer frames, two of TRN; their notes say
# why.
WHY = ("MACs here, one", "after the lateral convolutions", "as often as it is used")


# A row of each network: more frames are more of the same.
@pytest.mark.slow
@pytest.mark.exhaustive(
    but=(
        "* bn_inception/tsn",
        "* resnet18/tsm",
        "* resnet50/i3d*",
        "* resnet50/trn",
        "* resnet50/gsf:motion_squeeze=true",
        "* resnet50/gst",
        "TSM Table 2, ensemble *",
        "* mobilenet_v2/tsm",
        "* resnext101_32x4d/tsm",
        "* resnet50/tsm:non_local=true",
        "* resnet50/vsn[01]",  # of RGB, of flow
        "* resnet101/vsn1",
        "* rubiksnet_tiny/tsn",
        "* rubiksnet_large/tsn:*hardened=true",
        '* bn_inception/gsf:place="all"',
        "* bn_inception/gsf:ratio=0.75",
        "* bn_inception/gsf:modules=5",
        '* resnet50/gsf:*place="conv1"',
        '* resnet50/gsf:*place="all"',
        "* resnet50/gsf:ratio=0.125",
        "* resnet50/gsf:modules=8",
        "* inception_v3/gsf",
        "* slow_8x8_r50/tsn",
        "* slow_8x8_r50/tsn:width=0.63",
        "* slowfast_4x16_r50/tsn:frames=2",
        "* slowfast_4x16_r50/tsn:width=0.63,side=178,frames=2",
    )
)
@pytest.mark.parametrize(
    "row",
    {(r.network, r.in_channels, r.note): r for r in ROWS}.values(),
    ids=lambda r: f"{r.source} {r.network}",
)
def test_what_the_papers_print(row):
    found = cost.beside(row)
    assert found["agrees"] != any(why in row.note for why in WHY), found


def test_the_documents_say_how_many_rows_are_met():
    """The table has every row; which of them differ `test_what_the_papers_print` says."""
    page = (ROOT / "docs" / "costs.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    printed = [c for c in cells if command.is_printed(c[9], c[5], c[8])]
    for row in ROWS:  # the same number by the table that the command reads
        assert any(c[9].startswith(row.source) for c in cells)
    counted = [command.is_printed(r.source, r.parameters, r.macs) for r in ROWS]
    assert len(printed) == sum(counted)
    met = sum("**differs**" not in c[9] for c in printed)
    assert page.endswith(f"\n{command.summary(met, len(printed))}\n")
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"meet {met} of the {len(printed)} rows of the papers' tables" in readme


def test_several_published_rows_are_summed_up(capsys, monkeypatch):
    rows = [Published("resnet_tiny/tsn", 4, 2, 8, n, "", s) for n, s in SUMMED]
    monkeypatch.setattr(cost, "ROWS", tuple(rows))
    *_, blank, said = run(capsys)
    assert blank == "" and said == command.summary(1, 2)
    assert not any(command.summary(1, 2) in line for line in run(capsys, "--json"))


# Met, not met, not printed, of no table.
SUMMED = (("0.0777", "A Table 1"), ("1", "A Table 2"), ("", "A Table 3"), ("1", "code"))


def test_names_of_published_networks_are_written_as_we_write_them():
    for row in ROWS:
        for part in row.parts():
            assert parse(part.network).name == part.network


def test_windows_over_the_edge():
    x, w = jnp.zeros((1, 1, 4, 1)), jnp.zeros((1, 3, 1, 2))
    traced = jax.make_jaxpr(
        lambda x, w: jax.lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    )(x, w)
    assert flops(traced) == 2 * 2 * (2 + 3 + 3 + 2)
    assert flops(traced, hanging=True) == 2 * 2 * 4 * 3
