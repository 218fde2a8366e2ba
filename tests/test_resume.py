"""Where weights come from: what may differ between two runs, and what is said of it."""

import copy

import numpy as np
import pytest

from vidshift.training import checkpoints
from vidshift.training.checkpoints import CheckpointError
from vidshift.training.resume import changed_fields, check_same_run, initial_weights

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
    [{}, {"config__seed": 1, "config__optim__lr": 0.5, "config__data__dir": "x"}],
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
        "classes is ['left', 'right'] there and ['left', 'up'] here; "
        "optim.ema is None there and 0.99 here; "
        "optim.momentum is 0.9 there and 0.5 here. Choose another --workdir"
    )


def test_changed_fields_are_listed():
    wanted = changed(config__seed=1, config__optim__lr=0.5, config__data__new=None)
    del wanted["config"]["data"]["dir"]
    assert changed_fields(DESCRIPTION["config"], wanted["config"]) == [
        "data.dir: 'here' -> None",
        "optim.lr: 0.1 -> 0.5",
        "seed: 0 -> 1",
    ]
    assert changed_fields(DESCRIPTION, DESCRIPTION) == []


def arrays(seed: int, classes: int = 2):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(size=shape).astype(np.float32)

    params = {
        "stem.conv.kernel": draw(3, 3, 2, 4),
        "fc.kernel": draw(4, classes),
        "fc.bias": draw(classes),
    }
    return params, {"stem.norm.mean": draw(4), "stem.norm.var": draw(4)}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> str:
    directory = tmp_path_factory.mktemp("source")
    checkpoints.write_weights(directory, *arrays(0), DESCRIPTION)
    return str(directory)


def test_same_classes_take_everything(source):
    params, stats, line = initial_weights(source, *arrays(1), ["left", "right"])
    for found, wanted in zip((params, stats), arrays(0), strict=True):
        assert found.keys() == wanted.keys()
        for name in wanted:
            np.testing.assert_array_equal(found[name], wanted[name])
    assert line == f"initialised 5 arrays from {source}/checkpoints/0"


@pytest.mark.parametrize("classes", [["right", "left"], ["a", "b", "c"]])
def test_other_classes_keep_the_new_head(source, classes):
    new = arrays(1, len(classes))
    params, stats, line = initial_weights(source, *new, classes)
    np.testing.assert_array_equal(
        params["stem.conv.kernel"], arrays(0)[0]["stem.conv.kernel"]
    )
    np.testing.assert_array_equal(stats["stem.norm.var"], arrays(0)[1]["stem.norm.var"])
    for name in ("fc.kernel", "fc.bias"):
        np.testing.assert_array_equal(params[name], new[0][name])
    assert line == (
        f"initialised 3 arrays from {source}/checkpoints/0; the classes differ, so the "
        "head (fc.bias, fc.kernel) is new"
    )


def test_another_network_is_refused(source):
    params, stats = arrays(1)
    params["stages.0.kernel"] = params["stem.conv.kernel"]
    params["stem.conv.kernel"] = np.zeros((7, 7, 2, 4), np.float32)
    del stats["stem.norm.var"]
    with pytest.raises(CheckpointError) as error:
        initial_weights(source, params, stats, ["left", "right"])
    assert str(error.value) == (
        f"init={source} does not fit the network: "
        "1 missing there (stages.0.kernel...); "
        "1 unknown here (stem.norm.var...); "
        "1 of another shape (stem.conv.kernel...)"
    )


def test_no_such_source(tmp_path):
    with pytest.raises(CheckpointError, match="is no run or checkpoint"):
        initial_weights(str(tmp_path), *arrays(1), ["left", "right"])
