import pytest

from vidshift.training.config import Config, check


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
    "field, value",
    [
        ("batch_size", 0),
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
        ("data.max_failed_share", 2.0),
        ("optim.lr", -0.1),
        ("optim.lr", float("inf")),
        ("optim.lr_batch_size", 0),
        ("optim.clip_norm", 0.0),
        ("optim.accumulate", 0),
        ("optim.accumulate", 3),
        ("optim.ema", 1.0),
        ("norm.group_clips", 0),
        ("norm.group_clips", 5),
        ("checkpoint.keep_last", 0),
        ("checkpoint.every_steps", -2),
    ],
)
def test_values_that_no_run_could_mean(field, value):
    with pytest.raises(ValueError, match=field):
        check(changed(field, value))


@pytest.mark.parametrize(
    "field", ["steps", "optim.clip_norm", "optim.lr_batch_size", "norm.group_clips"]
)
def test_none_is_allowed_where_the_field_says_so(field):
    check(changed(field, None))
