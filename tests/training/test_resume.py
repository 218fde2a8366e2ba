"""What may differ between two starts of a run, and what is said of it."""

import copy

import pytest

from vidshift.checkpoints import CheckpointError
from vidshift.training.resume import changed_fields, check_same_run

DESCRIPTION = {
    "model": {"backbone": "resnet50", "temporal": "tsm", "num_classes": 2},
    "classes": ["left", "right"],
    "config": {
        "seed": 0,
        "optim": {"ema": None, "momentum": 0.9, "lr": 0.1},
        "data": {"dir": "here", "step_epochs": [20, 40]},
    },
}


def changed(**fields) -> dict:
    """The description with other fields; `a__b` is field b of a."""
    other = copy.deepcopy(DESCRIPTION)
    for name, value in fields.items():
        *parents, leaf = name.split("__")
        place = other
        for parent in parents:
            place = place[parent]
        place[leaf] = value
    return other


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"multi_label": False},
        {"config__seed": 1, "config__optim__lr": 0.5, "config__data__dir": "x"},
    ],
)
def test_a_run_goes_on_with_another_recipe(fields):
    check_same_run(DESCRIPTION, changed(**fields), "runs/a")


def test_another_network_names_each_field():
    wanted = changed(
        model__temporal="tsn",
        model__fold_div=4,
        classes=["left", "up"],
        config__optim__ema=0.99,
        config__optim__momentum=0.5,
    )
    with pytest.raises(CheckpointError) as error:
        check_same_run(DESCRIPTION, wanted, "runs/a")
    assert str(error.value) == (
        "runs/a holds a run of another model: "
        "model.fold_div is None there and 4 here; "
        "model.temporal is 'tsm' there and 'tsn' here; "
        "optim.ema is None there and 0.99 here; "
        "optim.momentum is 0.9 there and 0.5 here; "
        "classes differ: the run has 'right', which the data set has not; "
        "the data set has 'up', which the run has not. Choose another --workdir"
    )


def test_a_run_of_several_labels_is_another():
    with pytest.raises(CheckpointError, match="multi_label is False there and True"):
        check_same_run(DESCRIPTION, changed(multi_label=True), "runs/a")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tasks": {"verb": 2}}, "tasks is {} there"),
        ({"input": {"modality": "rgb_diff"}}, "modality is 'rgb' there and 'rgb_diff'"),
        ({"input": {"stack": 5}}, "stack is 1 there and 5"),
    ],
)
def test_a_run_of_other_frames_or_tasks_is_another(fields, message):
    with pytest.raises(CheckpointError, match=message):
        check_same_run(DESCRIPTION, changed(**fields), "runs/a")


def test_changed_fields_are_listed():
    wanted = changed(config__seed=1, config__optim__lr=0.5, config__data__new=None)
    del wanted["config"]["data"]["dir"]
    assert changed_fields(DESCRIPTION["config"], wanted["config"]) == [
        "data.dir: 'here' -> None",
        "optim.lr: 0.1 -> 0.5",
        "seed: 0 -> 1",
    ]
    assert changed_fields(DESCRIPTION, DESCRIPTION) == []
