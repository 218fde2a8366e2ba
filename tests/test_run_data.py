"""A run joined with data: the lists of classes are compared, and mapped by name."""

import json

import numpy as np
import pytest

from tests.support.commands import finish, start_program
from tests.support.runs_for_streams import write_run
from vidshift import cli
from vidshift.config import Config, DataConfig
from vidshift.data.annotations.mirrored import NO_MIRROR
from vidshift.data.sources import motion_clips
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.motion_clips import CLASSES, FLIP_LABELS, OrderedMotion
from vidshift.data.sources.relabel import Relabelled, by_name
from vidshift.data.sources.split import Split
from vidshift.description import Description
from vidshift.run import Run
from vidshift.tasks import MULTI_LABEL, SINGLE_LABEL, MultiTask

OPTIONS = OrderedMotion(
    side=16, frames=4, train_clips=1, validation_clips=1, test_clips=12
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    open_split("ordered_motion", "test", data_dir=str(folder), options=OPTIONS)
    return folder


@pytest.fixture
def opened(folder, tmp_path):
    """Opens the test split of a run with other classes than the data's."""

    def opened(
        classes, *, trained=True, task=SINGLE_LABEL, mirror=(), **options
    ) -> Split:
        data = DataConfig(
            "ordered_motion", options=OPTIONS, dir=str(folder), mirror=mirror
        )
        split = Split(source=[], classes=tuple(classes), task=task)
        description = Description.of(Config(data=data), split)
        (tmp_path / ("training" if trained else "weights")).mkdir(exist_ok=True)
        return Run(tmp_path, description).split("test", **options)

    return opened


def names(split: Split) -> list[str]:
    rows = range(len(split.source))
    return [split.classes[split.source[row]["label"]] for row in rows]


def test_the_same_classes(opened):
    assert opened(CLASSES).classes == opened(CLASSES, map_classes=True).classes


def test_what_differs_is_named(opened):
    other = ("moving aside", *CLASSES[1:])
    says = (
        "the run has 'moving aside', .*; the data set has 'moving left', which the run"
    )
    with pytest.raises(
        ValueError, match=f"{says} .*; --map-classes takes them by name"
    ):
        opened(other)
    with pytest.raises(ValueError, match="the run has 'a', 'b', which .* has not$"):
        opened(("a", "b"), map_classes=True)
    with pytest.raises(
        ValueError, match="another order: class 0 .*; --map-classes take"
    ):
        opened(CLASSES[::-1])
    with pytest.raises(
        ValueError, match="'waving', which the data .*--map-classes take"
    ):
        opened((*CLASSES, "waving"))


def test_clips_of_a_class_that_the_run_has_not_are_left_out(opened, capsys):
    plain, classes = opened(CLASSES), (*CLASSES[:0:-1], "waving")
    split = opened(classes, map_classes=True)
    kept = [name for name in names(plain) if name != "moving left"]
    assert names(split) == kept and len(kept) == len(split.source) == 11
    ids = [split.source[row]["id"] for row in range(11)]
    assert ids == [
        plain.source[row]["id"]
        for row, name in enumerate(names(plain))
        if name != "moving left"
    ]
    assert split.source.where(10) == plain.source.where(int(ids[10].split("/")[-1]))
    said = capsys.readouterr().err
    assert "no such class: 1 of 12 clips, of 'moving left'" in said
    # Its mirror image is none of the run's.
    assert split.flip_labels[classes.index("moving right")] == NO_MIRROR


def test_names_of_older_runs(opened):
    """Space and the form of letters differ, and nothing else."""
    padded = [f" {name}" for name in CLASSES]
    assert opened(padded).classes == CLASSES
    assert names(opened(padded[::-1], map_classes=True)) == [
        f" {name}" for name in names(opened(CLASSES))
    ]
    with pytest.raises(ValueError, match="13 classes .* some of one name"):
        opened((*CLASSES, " moving left"), map_classes=True)


@pytest.mark.parametrize("more", [(), ("waving left", "waving right", "hooking left")])
def test_classes_are_mapped_by_name(opened, more, capsys):
    plain, classes = opened(CLASSES), (*CLASSES[::-1], *more)
    split = opened(classes, map_classes=True)
    assert "taken by name" in capsys.readouterr().err
    assert split.classes == classes and names(split) == names(plain)
    flipped = {
        name: classes[m] for name, m in zip(classes, split.flip_labels) if m >= 0
    }
    for name, mirror in zip(CLASSES, FLIP_LABELS, strict=True):
        assert flipped[name] == CLASSES[mirror]
    if more:
        assert flipped["waving left"] == "waving right"
        assert split.flip_labels[-1] == NO_MIRROR and split.reversed_labels is None
    else:
        backwards = [classes[r] for r in split.reversed_labels]
        assert backwards == [
            CLASSES[motion_clips.REVERSED_LABELS[CLASSES.index(name)]]
            for name in classes
        ]


def test_mirror_images_that_the_run_was_told(opened):
    pairs = ("waving=moving up", "growing=growing")
    classes = (*CLASSES[::-1], "waving")
    with pytest.raises(
        ValueError, match="the run has 'waving', which the data set has"
    ):
        opened(classes, mirror=pairs)
    split = opened(classes, mirror=pairs, map_classes=True)
    assert classes[split.flip_labels[classes.index("moving up")]] == "waving"
    assert split.flip_labels[-1] == classes.index("moving up")


@pytest.mark.parametrize(
    ("flip_labels", "classes", "mirrors"),
    [
        ((0, 2, 1, 3), ("z", "wave B", "wave A"), (0, 2, 1)),
        # The data's mirror image of "wave A" is no class of the run.
        ((0, 2, 1, 3), ("hop", "wave A"), (0, NO_MIRROR)),
        # The data know of none, and neither do the names, or only of one they have.
        ((0, NO_MIRROR, 2, 3), ("hop", "wave A"), (0, NO_MIRROR)),
        ((0, 1, 2, 3, 4, NO_MIRROR), ("go left", "go right"), (0, NO_MIRROR)),
        # The names know of one that only the run has, unless the data say another.
        ((0, 1, 2, 3, NO_MIRROR), ("go left", "go right"), (1, 0)),
        ((0, 1, 2, 3, 4), ("go left", "go right"), (0, NO_MIRROR)),
    ],
)
def test_mirror_images_of_fewer_classes(flip_labels, classes, mirrors):
    every = ("hop", "wave A", "wave B", "z", "go left", "go right")
    own = every[: len(flip_labels)]
    split = Split([{"label": 0}], own, flip_labels=flip_labels)
    assert by_name(split, classes).flip_labels == mirrors


def test_labels_of_every_kind_are_mapped():
    source = [{"label": (0, 2)}, {"label": 1}, {"label": -1}]
    found = Relabelled(source, (2, 1, 0))
    assert [found[row]["label"] for row in range(3)] == [(2, 0), 1, -1]
    assert len(found) == 3 and found.where(1) == "row 1"
    several = [{"label": (0, 1, 2), "spans": ((0, 1), (1, 2), (2, 3))}]
    split = Split(several, ("a", "b", "c"), task=MULTI_LABEL)
    record = by_name(split, ("c", "a")).source[0]
    assert record == {"label": (1, 0), "spans": ((0, 1), (2, 3))}
    assert by_name(Split(source, ("a", "b")), ("b", "a")).flip_labels is None


def test_a_converted_checkpoint_without_names(opened, capsys):
    numbers = tuple(map(str, range(12)))
    assert opened(numbers, trained=False).classes == CLASSES
    assert "has no names of classes: its 12 are taken in the order" in (
        capsys.readouterr().err
    )
    # Those of a run are names.
    with pytest.raises(ValueError, match="the run has '0', '1'"):
        opened(numbers)


def test_another_kind_of_labels(opened):
    with pytest.raises(
        ValueError, match="was trained with multi_label=True, and order"
    ):
        opened(CLASSES, task=MULTI_LABEL)
    with pytest.raises(ValueError, match="was trained with tasks={'verb': 12}"):
        opened(CLASSES, task=MultiTask({"verb": 12}))


@pytest.fixture(scope="module")
def backwards(folder, tmp_path_factory):
    """A run whose classes are in the other order."""
    data = {"name": "ordered_motion", "options": OPTIONS, "dir": str(folder)}
    data |= {"workers": 0, "num_frames": 2, "resize": 16, "crop": 16}
    workdir = tmp_path_factory.mktemp("backwards")
    return write_run(workdir, data=data, classes=CLASSES[::-1], temporal="gsm")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("early", ["--split=test"]), ("pictures", ["--split=test"])],
    ids=["early", "pictures"],
)
def test_commands_compare(command, arguments, backwards, capsys):
    assert cli.run([command, f"--run={backwards}", *arguments]) == 2
    assert "are in another order: class 0 is 'fading out' of the run" in (
        capsys.readouterr().err
    )


@pytest.mark.slow  # five processes
def test_eval_compares_and_maps(backwards, tmp_path):
    flags = [f"--workdir={backwards}", f"--out={tmp_path}"]
    _, err = finish(start_program("eval.py", *flags), code=2)
    assert "another order: class 0" in err and "--map-classes takes them by name" in err
    out, _ = finish(start_program("eval.py", *flags, "--map-classes"))
    line = json.loads(out)
    scores = np.load(line["scores"])
    assert tuple(scores["classes"]) == CLASSES[::-1] and line["clips"] == 12
    labels = motion_clips.labels(OPTIONS, "test").tolist()
    assert [CLASSES[::-1][n] for n in scores["labels"]] == [CLASSES[n] for n in labels]

    # The same of scores of earlier evaluations.
    first, other = line["scores"], tmp_path / "other.npz"
    order = np.arange(12)[::-1]
    logits, labels = scores["logits"][:, order], order[scores["labels"]]
    mapped = {"logits": logits, "labels": labels, "classes": CLASSES}
    np.savez(other, **dict(scores) | mapped)
    flags = [f"--scores={first}", f"--scores={other}", f"--out={tmp_path / 'both'}"]
    _, err = finish(start_program("eval.py", *flags), code=2)
    assert f"{other} has other classes than {first}: they are in another order" in err
    out, _ = finish(start_program("eval.py", *flags, "--map-classes"))
    np.testing.assert_allclose(
        np.load(json.loads(out)["scores"])["logits"], scores["logits"], rtol=1e-6
    )
