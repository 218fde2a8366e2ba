"""What may differ between two starts of a run, and what is said of it."""

import dataclasses

import pytest

from vidshift.checkpoints import CheckpointError
from vidshift.config import Config, ModelConfig
from vidshift.data import Split
from vidshift.description import Description
from vidshift.tasks import MULTI_LABEL, MultiTask
from vidshift.training.resume import changed_fields, check_same_run

DESCRIPTION = Description.of(
    Config(model=ModelConfig("resnet50", "tsm")), Split([], ("left", "right"))
)


def changed(**fields) -> Description:
    """Returns the description with other fields; `a__b` is field b of a."""
    return _changed(DESCRIPTION, fields)


def _changed(part, fields):
    for name, value in fields.items():
        first, _, rest = name.partition("__")
        if isinstance(part, dict):
            part = part | {first: value}
        else:
            inner = _changed(getattr(part, first), {rest: value}) if rest else value
            part = dataclasses.replace(part, **{first: inner})
    return part


@pytest.mark.parametrize(
    "fields",
    [{}, {"config__seed": 1, "config__optim__lr": 0.5, "config__data__dir": "x"}],
)
def test_a_run_goes_on_with_another_recipe(fields):
    check_same_run(DESCRIPTION, changed(**fields), "runs/a")


def test_another_network_names_each_field():
    wanted = changed(
        model__temporal="tsn",
        model__fold_div=4,
        classes=("left", "up"),
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


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": MULTI_LABEL}, "multi_label is False there and True"),
        ({"task": MultiTask({"verb": 2})}, "tasks is {} there"),
        ({"input__modality": "rgb_diff"}, "modality is 'rgb' there and 'rgb_diff'"),
        ({"input__stack": 5}, "stack is 1 there and 5"),
    ],
)
def test_a_run_of_other_frames_or_tasks_is_another(fields, message):
    with pytest.raises(CheckpointError, match=message):
        check_same_run(DESCRIPTION, changed(**fields), "runs/a")


def test_changed_fields_are_listed():
    stored = DESCRIPTION.to_json()["config"]
    wanted = changed(config__seed=1, config__optim__lr=0.5).to_json()["config"]
    wanted["data"]["new"] = None
    del wanted["data"]["dir"]
    assert changed_fields(stored, wanted) == [
        "data.dir: 'datasets' -> None",
        "optim.lr: 0.01 -> 0.5",
        "seed: 0 -> 1",
    ]
    assert changed_fields(stored, stored) == []
