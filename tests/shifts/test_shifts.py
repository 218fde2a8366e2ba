"""Which sites a scheme fills, with what, and what a frame's logits may then depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support import networks
from tests.support.networks import random_clips, tiny, unannotated
from vidshift.shifts import Site
from vidshift.shifts.temporal import TSM, TemporalShift


def abstract(backbone: str, temporal: str = "tsm", **options) -> nnx.Module:
    return networks.abstract(backbone, temporal, **options)


def shifts(model: nnx.Module) -> dict[str, TemporalShift]:
    """Path of what a shift stands before -> the shift."""
    return {
        ".".join(map(str, path[:-1])): module
        for path, module in nnx.iter_modules(model)
        if isinstance(module, TemporalShift)
    }


def test_tsm_shifts_the_first_unit_of_residual_branches():
    places = list(shifts(abstract("resnet34")))
    assert len(places) == 16  # as in the official code
    assert all(place.endswith(".units.0") for place in places)


def test_resnet101_skips_every_second_block_of_each_stage():
    assert set(shifts(abstract("resnet101"))) == {
        f"stages.{stage}.{block}.units.0"
        for stage, length in enumerate((3, 4, 23, 3))
        for block in range(0, length, 2)
    }


def test_block_placement_shifts_whole_blocks():
    assert set(shifts(abstract("resnet50", placement="block"))) == {
        f"stages.{stage}.{block}"
        for stage, length in enumerate((3, 4, 6, 3))
        for block in range(length)
    }


@pytest.mark.parametrize("causal", [False, True])
def test_fold_is_a_share_of_the_shifted_channels(causal):
    found = list(shifts(abstract("resnet18", causal=causal)).values())
    assert [shift.fold for shift in found] == [8, 8, 8, 16, 16, 32, 32, 64]
    assert {shift.direction for shift in found} == {"past" if causal else "both"}
    found = shifts(abstract("resnet18", causal=causal, fold_div=4)).values()
    assert [shift.fold for shift in found] == [16, 16, 16, 32, 32, 64, 64, 128]


def test_fold_is_rounded_down():
    class Unit(nnx.Module):
        before = None

    site = Site(0, 0, 1, unit=0, units=2, in_channels=20, out_channels=64)
    assert TSM().place(site, Unit()).before.fold == 2


# With one shift a block, three blocks reach three frames to either side.
@pytest.mark.slow(
    but=(
        "tsn-options1-*",
        "tsm-options2-*",
    )
)
@pytest.mark.parametrize(
    ("temporal", "options", "reached"),
    [
        ("tsn", {}, {4}),
        ("tsn", {"causal": True}, {4}),
        ("tsm", {}, {1, 2, 3, 4, 5, 6, 7}),
        ("tsm", {"placement": "block"}, {1, 2, 3, 4, 5, 6, 7}),
        ("tsm", {"causal": True}, {4, 5, 6, 7}),
    ],
)
def test_which_frames_see_frame_4(temporal, options, reached):
    model = tiny(temporal, **options)
    logits = jax.jit(lambda clips: model.frame_logits(clips))
    clips = random_clips(1, 9, 8, 8, 3)
    before, after = logits(clips), logits(clips.at[:, 4].add(1.0))
    changed = np.flatnonzero(jnp.any(before != after, axis=(0, 2)))
    assert set(changed.tolist()) == reached


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"placement": "inplace"}, r"placement must be one of .*got 'inplace'"),
        ({"fold_div": 1}, "fold_div=1"),
        ({"fold_div": 0, "causal": True}, "fold_div=0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        TSM(**options)


def test_causal_may_shift_all_channels():
    TSM(fold_div=1, causal=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"causal": "False"}, "causal must be True or False, got 'False'"),
        ({"fold_div": 2.5}, "fold_div must be a whole number from 0, got 2.5"),
    ],
)
def test_options_of_another_kind(options, message):
    with pytest.raises(ValueError, match=message):
        unannotated(TSM, **options)
