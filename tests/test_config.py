import re

import pytest

from vidshift.config import Config, check


def changed(dotted, value):
    config = owner = Config()
    *parents, field = dotted.split(".")
    for name in parents:
        owner = getattr(owner, name)
    setattr(owner, field, value)
    return config


def test_the_defaults_are_fine():
    check(Config())


@pytest.mark.parametrize(
    "field, value", [("epochs", 3), ("data.mean", [0.5]), ("adaptive.widths", [1, 0.5])]
)
def test_integers_and_lists_are_fine(field, value):
    check(changed(field, value))


@pytest.mark.parametrize(
    "field, value",
    [
        ("batch_size", 0),
        ("batch_size", "16"),
        ("batch_size", True),
        ("steps", 1.5),
        ("optim", None),
        ("data.mean", 3),
        ("data.mean", ["a", "b", "c"]),
        ("data.flip", 1),
        ("batch_size", 2**31),
        ("seed", 2**32),
        ("seed", -1),
        ("epochs", float("nan")),
        ("steps", 0),
        ("validate_epochs", 0.0),
        ("log_steps", -1),
        ("model.dropout", 1.0),
        ("model.dtype", "float16"),
        ("data.num_frames", 0),
        ("data.crop", 300),
        ("data.mean", (0.5, 0.5)),
        ("data.dir", ""),
        ("data.augment.rand_ops", -1),
        ("data.area", (0.0, 1.0)),
        ("data.pixel_aspect", "round"),
        ("data.sampling", "sparse"),
        ("data.frame_stride", 0),
        ("data.stride_fps", 0.0),
        ("data.short_sides", (256,)),
        ("data.short_sides", (320, 256)),
        ("data.short_sides", (200, 256)),
        ("data.worker_kind", "fork"),
        ("data.max_failed_share", 2.0),
        ("optim.lr", -0.1),
        ("optim.lr", float("inf")),
        ("optim.lr_batch_size", 0),
        ("optim.clip_norm", 0.0),
        ("optim.accumulate", 0),
        ("optim.accumulate", 3),
        ("optim.ema", 1.0),
        ("optim.shift.time_factor", -1.0),
        ("optim.attention.budget", 1.5),
        ("adaptive.frames", (2.5,)),
        ("adaptive.max_programs", 0),
        ("norm.group_clips", 0),
        ("norm.group_clips", 5),
        ("checkpoint.keep_last", 0),
        ("profile.steps", "100"),
        ("profile.steps", "110:100"),
        ("checkpoint.every_steps", -2),
        ("distributed.timeout_seconds", 0),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(field, value):
    with pytest.raises(ValueError, match=rf"\b{re.escape(field)}\b"):
        check(changed(field, value))


def test_values_that_do_not_go_together():
    config = changed("data.sampling", "dense")
    config.data.num_frames = 65
    with pytest.raises(ValueError, match="num_frames must be at most 64"):
        check(config)
    for field, value in (("scales", (1.0,)), ("area", (0.1, 1.0))):
        config = changed("data.short_sides", (256, 320))
        setattr(config.data, field, value)
        with pytest.raises(ValueError, match="two kinds of crop"):
            check(config)


def test_a_view_has_the_fields_of_its_data():
    config = changed("data.short_sides", (256, 320))
    config.data.sampling, config.data.frame_stride = "strided", 2
    view = config.data.view()
    assert (view.short_sides, view.sampling, view.frame_stride) == (
        (256, 320),
        "strided",
        2,
    )


@pytest.mark.parametrize(
    "field",
    [
        "data.stride_fps",
        "steps",
        "optim.clip_norm",
        "optim.lr_batch_size",
        "norm.group_clips",
    ],
)
def test_none_is_allowed_where_the_field_says_so(field):
    check(changed(field, None))


@pytest.mark.parametrize(
    "run_steps, recorded",
    [(200, range(100, 110)), (105, range(100, 105)), (50, range(100, 100))],
)
def test_only_steps_that_a_run_has_are_recorded(run_steps, recorded):
    config = changed("profile.steps", "100:110")
    check(config)
    assert config.profile.of_steps(run_steps) == recorded
