"""The video shuffle against loops, and which blocks VSN shuffles, how, and with what reach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support import networks
from tests.support.networks import (
    assert_learns,
    in_parts,
    random_clips,
    random_network,
    tiny,
    unannotated,
)
from vidshift.kernels import Frames
from vidshift.nets.resnet import ResidualBlock
from vidshift.nets.units import conv_unit
from vidshift.shifts import NoPlaceError, Site
from vidshift.shifts.shuffle import VSN, VideoShuffle, video_shuffle
from vidshift.shifts.temporal import TemporalShift


def abstract(backbone: str, temporal: str = "vsn", **options) -> nnx.Module:
    return networks.abstract(backbone, temporal, **options)


def shuffled(clips) -> np.ndarray:
    """Equation 1, one group of one frame after the other."""
    clips = np.asarray(clips)
    frames, eta = clips.shape[1], clips.shape[-1] // clips.shape[1]
    y = np.empty_like(clips)
    for i in range(frames):
        for j in range(frames):
            y[:, i, ..., j * eta : (j + 1) * eta] = clips[
                :, j, ..., i * eta : (i + 1) * eta
            ]
    return y


# ------------------------------------------------------------------ the operation


@pytest.mark.parametrize(
    ("frames", "channels", "parts", "dtype"),
    [
        (1, 5, 1, "float32"),
        (4, 4, 1, "float32"),
        (3, 12, 2, "float32"),
        (3, 12, 2, "bfloat16"),
    ],
)
def test_values_are_those_of_a_loop(frames, channels, parts, dtype):
    clips = random_clips(4, frames, 2, 3, channels).astype(dtype)
    y = jax.jit(lambda clips: video_shuffle(in_parts(clips, parts)))(clips)
    assert (y.frames, y.parts, y.data.dtype) == (frames, parts, dtype)
    np.testing.assert_array_equal(y.clips(), shuffled(clips))


def test_it_is_its_own_inverse_and_transpose():
    x = in_parts(random_clips(4, 3, 2, 3, 12), 2)
    np.testing.assert_array_equal(video_shuffle(video_shuffle(x)).data, x.data)
    y, vjp = jax.vjp(video_shuffle, x)
    (dx,) = vjp(y)
    np.testing.assert_array_equal(dx.data, x.data)


def test_channels_have_to_divide():
    x = Frames.of(random_clips(1, 4, 1, 1, 6))
    with pytest.raises(ValueError, match="6 channels do not divide .* for 4 frames"):
        video_shuffle(x)


def test_the_layer_belongs_to_a_number_of_frames():
    x = Frames.of(random_clips(1, 4, 1, 1, 8))
    with pytest.raises(ValueError, match="num_frames=8, .* have 4 frames"):
        VideoShuffle(8)(x)
    np.testing.assert_array_equal(VideoShuffle(4)(x).data, video_shuffle(x).data)


# ------------------------------------------------------------------ which blocks


def filled(model: nnx.Module, kind: type[nnx.Module]) -> dict[str, set[str]]:
    """Path of a unit or block -> its slots that hold such a layer."""
    found: dict[str, set[str]] = {}
    for path, module in nnx.iter_modules(model):
        if isinstance(module, kind):
            *owner, slot = map(str, path)
            found.setdefault(".".join(owner), set()).add(slot)
    return found


LAST = {0: 2, 1: 3, 2: 5, 3: 2}  # ResNet-50's last block of each stage


@pytest.mark.slow(but=("None-options1-*",))
@pytest.mark.parametrize(
    ("options", "unit", "slots"),
    [
        ({}, ".units.1", {"before", "between"}),
        ({"inverse": "after_norm"}, ".units.1", {"before", "after"}),
        ({"shuffle_block": "headtail"}, "", {"before", "after"}),
    ],
)
@pytest.mark.parametrize("stages", [None, (1, 3)])
def test_last_blocks_are_shuffled_and_the_others_shifted(options, unit, slots, stages):
    model = abstract("resnet50", shuffle_stages=stages, **options)
    last = {s: b for s, b in LAST.items() if s in (stages or LAST)}
    assert filled(model, VideoShuffle) == {
        f"stages.{stage}.{block}{unit}": slots for stage, block in last.items()
    }
    assert filled(model, TemporalShift) == {
        f"stages.{stage}.{block}.units.0": {"before"}
        for stage, length in enumerate((3, 4, 6, 3))
        for block in range(length)
        if last.get(stage) != block
    }


@pytest.mark.slow
def test_resnet101_shifts_every_other_block_too():
    assert len(filled(abstract("resnet101"), TemporalShift)) == 33 - 4


def test_other_blocks_may_stay_as_they_are():
    model = abstract("resnet18", other_blocks="tsn")
    assert len(filled(model, VideoShuffle)) == 4
    assert not filled(model, TemporalShift)


def test_fold_div_is_that_of_the_other_blocks():
    model = abstract("resnet18", fold_div=4)
    shifts = [m for _, m in nnx.iter_modules(model) if isinstance(m, TemporalShift)]
    assert [shift.fold for shift in shifts] == [16, 16, 32, 64]


def test_mobilenet_is_shuffled_headtail_where_it_is_residual():
    model = abstract("mobilenet_v2", shuffle_block="headtail")
    assert set(filled(model, VideoShuffle)) == {
        f"stages.{stage}.{block}"
        for stage, block in enumerate((1, 2, 3, 2, 2), start=1)
    }
    assert len(filled(model, TemporalShift)) == 10 - 5


# ------------------------------------------------------------------ what they compute

SITE = Site(0, 1, 2, unit=1, units=2, in_channels=8, out_channels=8)


def unit() -> nnx.Module:
    return random_network(lambda: conv_unit(8, 8, 3, rngs=nnx.Rngs(0)))


@pytest.mark.parametrize("inverse", ["before_norm", "after_norm"])
def test_a_compact_unit(inverse):
    """The two orders differ: a batch norm does not commute with the shuffle."""
    plain, inner = unit(), unit()
    x = Frames.of(random_clips(2, 4, 3, 3, 8))

    def shuffle(y: Frames) -> Frames:
        return Frames.of(jnp.asarray(shuffled(y.clips())))

    y = plain.conv(shuffle(x))
    y, other = plain.finish(shuffle(y)), shuffle(plain.finish(y))
    if inverse == "after_norm":
        y, other = other, y
    found = VSN(num_frames=4, inverse=inverse).place(SITE, inner)(x)
    np.testing.assert_allclose(found.data, y.data, atol=1e-6)
    assert jnp.abs(found.data - other.data).max() > 0.1


def test_headtail_around_an_identity_shortcut_is_headtail_in_the_branch():
    block = random_network(
        lambda: ResidualBlock([conv_unit(8, 8, 3, rngs=nnx.Rngs(0))], None)
    )
    site = Site(0, 1, 2, unit=None, units=1, in_channels=8, out_channels=8)
    x = Frames.of(random_clips(2, 4, 3, 3, 8))
    branch = block.units[0](Frames.of(jnp.asarray(shuffled(x.clips()))))
    inside = np.maximum(shuffled(branch.clips()) + x.clips(), 0)
    found = VSN(num_frames=4, shuffle_block="headtail").place(site, block)(x)
    np.testing.assert_allclose(found.clips(), inside, atol=1e-6)


@pytest.mark.parametrize(
    ("temporal", "options", "reached"),
    [
        ("tsn", {}, 1),
        ("vsn", {}, 8),
        ("vsn", {"shuffle_stages": (1,), "other_blocks": "tsn"}, 8),
    ],
)
def test_one_shuffled_block_reaches_all_frames(temporal, options, reached):
    """All three blocks of resnet_tiny are the last of their stage."""
    model = tiny(temporal, num_frames=8, **options)
    clips = random_clips(1, 8, 8, 8, 3)
    both = jnp.concatenate([clips, clips.at[:, 2].add(1.0)])
    before, after = jax.jit(lambda clips: model.frame_logits(clips))(both)
    assert jnp.any(before != after, axis=-1).sum() == reached


def test_gradients_in_training():
    shuffled_unit = VSN(num_frames=4).place(SITE, unit())
    training = nnx.view(shuffled_unit, use_running_average=False)
    clips = random_clips(2, 4, 3, 3, 8)
    assert_learns(training, lambda unit: unit(in_parts(clips, 2)).data)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("backbone", "options", "message"),
    [
        ("mobilenet_v2", {}, '144 groups .* 8 frames .* shuffle_block="headtail"'),
        ("resnext101_32x4d", {}, '32 groups .* 8 frames .* shuffle_block="headtail"'),
        ("resnet18", {"shuffle_stages": (0, 4)}, "no place for vsn in stage 4"),
    ],
)
def test_no_place(backbone, options, message):
    with pytest.raises(NoPlaceError, match=message):
        abstract(backbone, **options)


def test_one_frame_alone_may_be_shuffled_in_any_groups():
    assert filled(abstract("mobilenet_v2", num_frames=1), VideoShuffle)


@pytest.mark.parametrize("shuffle_block", ["compact", "headtail"])
def test_channels_that_do_not_divide(shuffle_block):
    message = "the 16 channels of stage 0 do not divide into groups for num_frames=5"
    with pytest.raises(ValueError, match=message):
        abstract("resnet_tiny", num_frames=5, shuffle_block=shuffle_block)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle_block": "head"}, r"shuffle_block must be one of .*got 'head'"),
        ({"other_blocks": "gsf"}, r"other_blocks must be one of .*got 'gsf'"),
        ({"inverse": "never"}, r"inverse must be one of .*got 'never'"),
        ({"shuffle_stages": ()}, r"shuffle_stages must be .*got \(\)"),
        ({"shuffle_stages": (0, -1)}, r"shuffle_stages must be .*got -1"),
        ({"shuffle_stages": 2}, "shuffle_stages must be .*got 2"),
        ({"shuffle_stages": "2"}, "shuffle_stages must be .*got '2'"),
        ({"fold_div": 1}, "fold_div=1"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        unannotated(VSN, num_frames=8, **options)
