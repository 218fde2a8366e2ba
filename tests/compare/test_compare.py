"""`vidshift compare` on runs of small networks, and on files of scores made by hand."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from tests.support.runs_for_streams import write_run
from vidshift import cli
from vidshift.adaptive import table
from vidshift.adaptive.subnetwork import SubNetwork
from vidshift.checkpoints import checksums
from vidshift.compare import curves
from vidshift.compare.members import Member
from vidshift.compare.pictures import family
from vidshift.data.sources import motion_clips
from vidshift.data.sources.motion_clips import OrderedMotion
from vidshift.evaluation import score_files
from vidshift.evaluation.evaluate import Scores
from vidshift.run import BUDGETS, Run
from vidshift.tasks import MULTI_LABEL, SINGLE_LABEL

CLASSES = ("fold", "unfold", "lift")
ORIGIN = score_files.Origin(
    "ssv1", "/data", "validation", "1x1", "logits", False, "gone/checkpoints/1", "00ff"
)


@pytest.fixture
def write(tmp_path):
    """Writes scores of a network that is sure of its answers; returns the file."""

    def write(
        name,
        answers,
        labels,
        *,
        ids=None,
        classes=CLASSES,
        task=SINGLE_LABEL,
        failed=(),
        **of,
    ):
        logits = np.eye(len(classes), dtype=np.float32)[list(answers)]
        failures = tuple((name, "damaged") for name in failed)
        ids = tuple(ids or (f"clip{i}" for i in range(len(logits))))
        scores = Scores(
            logits, np.asarray(labels), np.arange(len(ids)), ids, failures, task
        )
        file = tmp_path / f"{name}.npz"
        score_files.write(file, scores, classes, ORIGIN._replace(**of))
        return str(file)

    return write


def compare(capsys, *arguments, code=0):
    """-> the JSON object, or the one line of an error."""
    assert cli.run(["compare", "--json", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    return json.loads(out) if code == 0 else err.splitlines()[-1]


LABELS = [0] * 6 + [1] * 4 + [2] * 2
WORSE = [1] * 6 + [1] * 4 + [0] * 2
BETTER = [0] * 5 + [1] + [1] * 3 + [2] + [2] * 2


def test_files_of_scores(write, capsys):
    before, after = write("a", WORSE, LABELS), write("b", BETTER, LABELS)
    found = compare(capsys, f"TSN={before}", f"GSF={after}", "--classes=1")
    first, second = found["runs"]
    assert (first["name"], second["name"], second["clips"]) == ("TSN", "GSF", 12)
    assert (first["top1"], second["top1"]) == pytest.approx((4 / 12, 10 / 12))
    assert first["difference"] is None and first["mcnemar"] is None
    assert second["difference"] == pytest.approx(0.5)
    # 2 (1 + 8) / 2^8, of seven gained and one lost.
    assert second["mcnemar"] == {
        "gained": 7,
        "lost": 1,
        "p": pytest.approx(18 / 256),
        "exact": True,
    }
    assert second["interval"] == pytest.approx([0.5520, 0.9530], abs=1e-4)
    assert [gain["name"] for gain in found["classes"]["GSF"]] == ["fold", "unfold"]
    assert found["classes"]["GSF"][0]["before"] == "unfold"
    # The network is not there, so neither is its cost.
    assert second["parameters"] is second["network"] is None


def test_the_table(write, capsys):
    files = write("a", WORSE, LABELS), write("b", BETTER, LABELS)
    assert cli.run(["compare", *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ssv1, validation, protocol 1x1"
    assert lines[5].endswith(
        " 12 | 83.33 | 55.2 to 95.3 | 100.00 | +50.00 | 7, 1 | 0.0703 |"
    )
    assert "| fold | 6 | 5 | 0 | +5 | unfold |" in lines[11]


def test_clips_that_one_could_not_decode_are_named(write, capsys):
    first = write("a", BETTER, LABELS)
    ids = [f"clip{i}" for i in range(1, 12)]
    other = write("b", WORSE[1:], LABELS[1:], ids=ids, failed=["clip0"])
    found = compare(capsys, first, other)
    assert [row["clips"] for row in found["runs"]] == [11, 11]
    # The one that was left out was right.
    assert found["runs"][0]["top1"] == pytest.approx(9 / 11)
    (note,) = found["notes"]
    assert note == "left out of all, as not every run could decode them: 'clip0'"


def test_classes_in_another_order_are_taken_by_name(write, capsys):
    first = write("a", BETTER, LABELS)
    turned = {0: 2, 1: 0, 2: 1}
    other = write(
        "b",
        [turned[i] for i in BETTER],
        [turned[i] for i in LABELS],
        classes=("unfold", "lift", "fold"),
    )
    message = compare(capsys, first, other, code=2)
    assert "another order" in message and "--map-classes" in message
    found = compare(capsys, first, other, "--map-classes")
    assert found["runs"][1]["mcnemar"]["gained"] == 0
    assert found["runs"][1]["top1"] == found["runs"][0]["top1"]


def test_several_labels_have_no_test(write, capsys):
    hot = np.eye(3, dtype=np.uint8)[LABELS]
    files = [write(n, BETTER, hot, task=MULTI_LABEL) for n in "ab"]
    found = compare(capsys, *files)
    assert found["runs"][1]["mAP"] < 1 and found["runs"][1]["mcnemar"] is None
    assert found["runs"][1]["difference"] == 0 and found["classes"] == {}


def test_groups_of_splits_and_of_seeds(write, capsys):
    splits = [
        write(
            f"s{i}",
            BETTER[:n],
            LABELS[:n],
            ids=[f"{i}/{k}" for k in range(n)],
            split=f"test_{i}",
        )
        for i, n in ((1, 12), (2, 8), (3, 5))
    ]
    seeds = [
        write("t1", WORSE, LABELS, ids=[f"1/{k}" for k in range(12)], split="test_1")
    ]
    found = compare(
        capsys, f"--group=splits={','.join(splits)}", f"--group=seeds={seeds[0]}"
    )
    over_splits, over_seeds = found["groups"]
    # 10 of 12, 7 of 8 and all 5.
    assert over_splits["top1"]["mean"] == pytest.approx((10 / 12 + 7 / 8 + 1) / 3)
    assert over_splits["top1"]["deviation"] == pytest.approx(0.08673, abs=1e-5)
    assert (over_splits["top1"]["least"], over_splits["top1"]["most"]) == (10 / 12, 1)
    assert over_splits["splits"] == ["test_1", "test_2", "test_3"]
    assert over_seeds["top1"]["deviation"] is None
    assert over_seeds["difference"] == pytest.approx(
        4 / 12 - over_splits["top1"]["mean"]
    )
    # Only the clips of split 1 were scored by both.
    tested = [row["mcnemar"] is not None for row in found["runs"]]
    assert tested == [False, False, False, True]
    assert len(found["notes"]) == 2
    assert "not tested: " in found["notes"][0] and "other clips" in found["notes"][0]


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ({"split": "test"}, "split is validation of .*a and test of .*b"),
        ({"protocol": "2x3"}, "protocol is 1x1 of .*a and 2x3 of .*b"),
        ({"average": "softmax"}, "average is logits"),
        ({"ids": [f"other{i}" for i in range(12)]}, "are of other clips"),
        ({"classes": ("fold", "unfold", "drop")}, "has other classes than"),
        ({"classes": (*CLASSES, "drop")}, "has other classes than"),
    ],
)
def test_what_cannot_be_compared(of, message, write, capsys):
    files = write("a", BETTER, LABELS), write("b", BETTER, LABELS, **of)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDSHIFT_TRACEBACK", "1")
        with pytest.raises(ValueError, match=message):
            cli.run(["compare", *files])
    assert capsys.readouterr().out == ""


def test_wrong_arguments_are_one_line(write, capsys, tmp_path):
    file = write("a", BETTER, LABELS)
    old = tmp_path / "old.npz"
    score_files.write(old, score_files.read(pathlib.Path(file)).scores, CLASSES)
    for arguments, message in [
        ([], "give the RUNs to compare"),
        ([file, file], "is given 2 times"),
        ([file, f"b={tmp_path}/../{tmp_path.name}/a.npz"], "a.npz is given 2 times"),
        ([f"x={file}", f"x={old}"], "does not say which split and protocol"),
        ([file, tmp_path / "no.npz"], "no such file of scores"),
        ([tmp_path], "is no run or checkpoint"),
        ([file, "--protocol=7x7"], "one of: 1x1"),
        ([f"--group=g={file}", f"--group=g={file}"], "two groups have one name"),
    ]:
        assert message in compare(capsys, *arguments, code=2)
    with pytest.raises(SystemExit, match="2"):
        cli.run(["compare", file, "--classes=-1"])
    assert "at least 0, got -1" in capsys.readouterr().err


# ------------------------------------------------------------------------------- runs
OPTIONS = OrderedMotion(
    side=16, frames=8, train_clips=2, validation_clips=24, test_clips=2
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs with random weights, in folders `one` and `two`."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "data").mkdir()
    data = {
        "name": "ordered_motion",
        "options": OPTIONS,
        "dir": str(folder / "data"),
        "workers": 0,
    }
    return [
        write_run(
            folder / name, data=data, classes=motion_clips.CLASSES, temporal=scheme
        )
        for name, scheme in (("one", "tsn"), ("two", "tsm"))
    ]


def budget_row(width, crop, split="validation"):
    """A sub-network that gets better and dearer with its width."""
    tested = table.Conditions(split, "1x1", "logits", 1, 8)
    subnetwork = SubNetwork(width, 16, 4)
    return table.BudgetRow(subnetwork, crop, width, 10, 0.1 * width, 0.5, tested)


def test_curves_are_of_the_runs_own_test(write):
    origin, scores = ORIGIN, score_files.read(pathlib.Path(write("a", WORSE, LABELS)))
    member = Member("a3d", "", pathlib.Path(), None, scores.scores, CLASSES, origin)
    rows = [budget_row(w, crop) for crop in (32, 16) for w in (0.5, 0.75, 1.0)]
    rows.append(
        dataclasses.replace(rows[0], subnetwork=SubNetwork(0.5, 8, 4), top1=0.0)
    )
    rows.append(budget_row(1.0, 32, "test"))
    found, notes = curves.curves_of(member, table.Table("1", "cpu", tuple(rows)))
    assert found == {"a3d, 32² crops": rows[:3], "a3d, 16² crops": rows[3:6]}
    assert len(notes) == 1
    single, _ = curves.curves_of(member, table.Table("1", "cpu", tuple(rows[:2])))
    assert list(single) == ["a3d"]


@pytest.mark.slow
def test_runs_are_evaluated_once_and_drawn(runs, tmp_path, capsys):
    missing = compare(capsys, *runs, "--no-eval", code=2)
    assert missing.count("vidshift eval --run=") == 2
    assert "--split=validation --protocol=1x1" in missing
    out = tmp_path / "out"
    rows = [budget_row(0.5, 16), budget_row(1.0, 16), budget_row(1.0, 16, "test")]
    made = table.Table("0", "cpu", tuple(rows))
    (runs[0] / BUDGETS).mkdir(exist_ok=True)
    table.write(runs[0] / BUDGETS, made)
    given = [*runs, "--batch-size=8", "--latency", f"--out={out}"]
    found = compare(capsys, *given)
    assert found == json.loads((out / "compare.json").read_text())
    assert [row["network"] for row in found["runs"]] == [
        "resnet_tiny/tsn",
        "resnet_tiny/tsm",
    ]
    for row in found["runs"]:
        assert row["clips"] == 24 and row["latency_ms"] > 0
        # The shift costs nothing.
        assert row["macs_of_a_view"] == found["runs"][0]["macs_of_a_view"] > 0
    assert {
        "accuracy over gflops",
        "accuracy over latency",
        "curves of sub-networks",
    } <= (found["pictures"].keys())
    for file in found["pictures"].values():
        assert pathlib.Path(file).read_bytes().startswith(b"\x89PNG")
    assert "| one | resnet_tiny/tsn | " in (out / "compare.md").read_text()
    # Nothing is computed again, be it for the file itself or for a run that has moved.
    again = compare(capsys, *runs, "--no-eval")
    assert [row["top1"] for row in again["runs"]] == [
        row["top1"] for row in found["runs"]
    ]
    moved = runs[0].rename(runs[0].with_name("moved"))
    try:
        file = found["runs"][1]["scores"]
        both = compare(capsys, moved, file, "--no-eval")
        assert [row["name"] for row in both["runs"]] == ["moved", "two"]
        assert both["runs"][1]["parameters"] == found["runs"][1]["parameters"]
    finally:
        moved.rename(runs[0])


def test_other_scores_beside_a_run_are_not_taken(runs, capsys):
    """Of other weights, or another split, protocol, average or form."""
    run = Run.open(runs[0])
    logits, label = np.zeros((1, 12), np.float32), np.zeros(1, int)
    scores = Scores(logits, label, np.arange(1), ("a",), ())
    wanted = compare(capsys, runs[0], "--split=test", "--no-eval", code=2)
    right = score_files.Origin(
        "ordered_motion",
        run.description.config.data.dir,
        "test",
        "1x1",
        "logits",
        False,
        str(run.checkpoint),
        checksums.digest(run.checkpoint, "weights"),
    )
    folder = run.folder / "evaluation"
    folder.mkdir(exist_ok=True)
    file = folder / "test-mine.npz"
    for wrong in (
        {"split": "validation"},
        {"protocol": "1x3"},
        {"average": "softmax"},
        {"soft": True},
        {"weights": "0"},
        {"data_dir": "/elsewhere"},
    ):
        score_files.write(file, scores, motion_clips.CLASSES, right._replace(**wrong))
        assert compare(capsys, runs[0], "--split=test", "--no-eval", code=2) == wanted
    score_files.write(file, scores, motion_clips.CLASSES, right)
    found = compare(capsys, runs[0], "--split=test", "--no-eval")
    assert found["runs"][0]["scores"] == str(file)
    file.unlink()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ({"temporal": "tsm"}, "TSM resnet"),
        (
            {"backbone": "resnet50", "temporal": "tsm", "causal": True},
            "causal TSM resnet",
        ),
        ({"backbone": "resnet101", "temporal": "tsn"}, "TSN resnet"),
        ({"backbone": "bn_inception", "temporal": "gsf"}, "GSF bn_inception"),
        ({"backbone": "inception_v3", "temporal": "gsf"}, "GSF inception"),
        ({"backbone": "mobilenet_v2", "temporal": "tsm"}, "TSM mobilenet"),
        ({"backbone": "slow_8x8_r50", "temporal": "tsn"}, "slow"),
        ({"backbone": "rubiksnet_large", "temporal": "tsn"}, "rubiksnet"),
        (
            {"backbone": "rubiksnet_tiny", "temporal": "tsn", "variant": "attention"},
            "rubiksnet attention",
        ),
    ],
)
def test_families_are_backbones_of_any_size(model, name):
    assert family({"backbone": "resnet_tiny"} | model) == name
