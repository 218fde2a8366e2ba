"""RubiksNet's shifting layers against NumPy, and what of them is learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import random_clips
from tests.support.shift3d_reference import by_corners
from vidshift.nets.weights import named_arrays
from vidshift.shifts.rubiks import (
    Shift2D,
    Shift3D,
    ShiftParam,
    group_rows,
    tsm_row,
)

SHAPE = (2, 3, 4, 5, 16)  # B, T, H, W, C: two channels a fold of TSM's


def layer(kind=Shift3D, channels=SHAPE[-1], **options):
    options = {"max_shift": 2.0} | options  # a narrow window compiles sooner
    return kind(channels, rngs=nnx.Rngs(0), **options)


def shifted(module, clips, *weight):
    return jax.jit(lambda m, c, *w: m(c, *w))(module, clips, *weight)


# ------------------------------------------------------------------ patterns
def test_time_is_that_of_tsm():
    assert tsm_row(17).tolist() == [[1, 1, -1, -1] + 13 * [0]]
    assert tsm_row(17, causal=True).tolist() == [[-1, -1] + 15 * [0]]


def test_space_is_shiftnets_window():
    h, w = group_rows(11).tolist()
    assert h == [-1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0]
    assert w == [-1, -1, -1, 0, 0, 0, 1, 1, 1, -1, -1]
    for channels in (54, 72):
        _, count = np.unique(group_rows(channels), axis=1, return_counts=True)
        assert count.tolist() == [channels // 9] * 9
    assert group_rows(25, 5)[:, 23].tolist() == [1, 2]


# -------------------------------------------------------------------- shifts
def test_learned_shifts_start_within_one():
    shift = layer(channels=4000).shift
    assert isinstance(shift, ShiftParam)
    drawn = np.asarray(shift[...])
    assert drawn.shape == (3, 4000) and -1 <= drawn.min() < -0.99 < 0.99 < drawn.max()
    assert abs(drawn.mean()) < 0.02


def test_what_a_learned_time_may_start_from():
    def rows(**options):
        return np.asarray(layer(channels=4000, **options).shift[...])

    plain, half = rows(), rows(time_init="uni0.5")
    np.testing.assert_array_equal(half[0], 0.5 * plain[0])
    np.testing.assert_array_equal(half[1:], plain[1:])
    np.testing.assert_array_equal(rows(time_init="tsm")[:1], tsm_row(4000))
    causal = rows(time_init="tsm", causal=True)
    np.testing.assert_array_equal(causal[:1], tsm_row(4000, causal=True))
    noise = rows(time_init="tsm-g0.1")[0] - tsm_row(4000)[0]
    assert abs(noise.std() - 0.1) < 0.01 and abs(noise.mean()) < 0.01


@pytest.mark.slow(
    but=(
        "Shift3D-*",
        "Shift2D-1",
    )
)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", [Shift3D, Shift2D])
def test_values(kind, stride):
    module, clips = layer(kind, stride=stride), random_clips(*SHAPE)
    module.shift[...] = 2.0 * module.shift[...]
    rows = np.zeros((3, SHAPE[-1]), np.float32)
    rows[-len(module.shift[...]) :] = module.shift[...]
    expected = by_corners(clips, rows, (1, stride, stride))
    np.testing.assert_allclose(shifted(module, clips), expected, atol=1e-5)


def test_space_alone_reads_no_other_frame():
    module, clips = layer(Shift2D), random_clips(*SHAPE)
    frames = clips.reshape(-1, 1, *SHAPE[2:])
    one_by_one = shifted(module, frames).reshape(SHAPE)
    np.testing.assert_array_equal(shifted(module, clips), one_by_one)


@pytest.mark.parametrize(
    ("kind", "fixed", "rows", "learned"),
    [
        (Shift3D, {}, "thw", "thw"),
        (Shift3D, {"time": "fixed"}, "Thw", "hw"),
        (Shift3D, {"space": "fixed"}, "tHW", "t"),
        (Shift3D, {"space": "fixed", "time": "fixed"}, "THW", ""),
        (Shift2D, {}, "0hw", "hw"),
        (Shift2D, {"space": "fixed"}, "0HW", ""),
    ],
)
def test_which_rows_are_learned(kind, fixed, rows, learned):
    module = layer(kind, **fixed)
    own = {} if module.shift is None else dict(zip(learned, module.shift[...]))
    assert len(own) == len(learned)
    patterns = np.concatenate([tsm_row(16), group_rows(16)])
    own |= dict(zip("THW", patterns)) | {"0": np.zeros(16)}
    np.testing.assert_array_equal(module.rows(), np.stack([own[r] for r in rows]))
    assert np.issubdtype(module.rows().dtype, np.integer) is (not learned)
    assert list(named_arrays(module)) == ["shift"] * bool(learned)
    expected = by_corners(random_clips(*SHAPE), np.asarray(module.rows()), (1, 1, 1))
    actual = shifted(module, random_clips(*SHAPE))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_all_fixed_moves_frames_and_pixels_as_they_are():
    clips = random_clips(*SHAPE)
    y = shifted(layer(time="fixed", space="fixed"), clips)
    # Channel 0: the next frame, a row up and a column left. Channel 2: the frame
    # before, a row down and a column left. Channel 4: the same frame and place.
    np.testing.assert_array_equal(y[:, :-1, 1:, 1:, 0], clips[:, 1:, :-1, :-1, 0])
    np.testing.assert_array_equal(y[:, 1:, :-1, 1:, 2], clips[:, :-1, 1:, :-1, 2])
    np.testing.assert_array_equal(y[..., 4], clips[..., 4])
    assert not y[:, -1, ..., 0].any() and not y[:, 0, ..., 2].any()


def test_quantised_is_interpolated_at_whole_distances():
    plain, rounded = layer(), layer(quantize=True)
    clips = random_clips(*SHAPE)
    rounded.shift[...] = 2 * plain.shift[...]
    plain.shift[...] = jnp.floor(rounded.shift[...] + 0.5)
    np.testing.assert_array_equal(shifted(rounded, clips), shifted(plain, clips))
    plain.shift[...] = rounded.shift[...]
    assert not np.allclose(shifted(rounded, clips), shifted(plain, clips), atol=0.1)


@pytest.mark.parametrize("kind", [Shift3D, Shift2D])
def test_the_product_after_it(kind):
    module, clips = layer(kind, stride=2), random_clips(*SHAPE)
    weight = random_clips(SHAPE[-1], 7)
    apart = jnp.einsum("...c,ck->...k", shifted(module, clips), weight)
    np.testing.assert_allclose(shifted(module, clips, weight), apart, atol=1e-5)


# -------------------------------------------------------------------- causal
@pytest.mark.parametrize("quantize", [False, True])
def test_a_causal_shift_is_one_by_as_much_from_the_past(quantize):
    past, both = (layer(causal=c, quantize=quantize) for c in (True, False))
    drawn = np.random.default_rng(0).uniform(-2.5, 2.5, (3, SHAPE[-1]))
    drawn[0, :3] = [0, 1, -2]
    past.shift[...] = jnp.asarray(drawn, jnp.float32)
    drawn[0] = -np.abs(drawn[0])
    both.shift[...] = jnp.asarray(drawn, jnp.float32)
    np.testing.assert_array_equal(past.rows(), both.shift[...])
    np.testing.assert_array_equal(past.acting(), both.acting())
    assert past.acting().min() == -2 and past.acting()[0].max() <= 0
    clips = random_clips(*SHAPE)
    np.testing.assert_array_equal(shifted(past, clips), shifted(both, clips))


def test_fixed_causal_time_is_one_fold_of_the_past():
    clips = random_clips(*SHAPE)
    y = shifted(layer(time="fixed", space="fixed", causal=True), clips)
    np.testing.assert_array_equal(y[:, 1:, 1:, 1:, 0], clips[:, :-1, :-1, :-1, 0])
    np.testing.assert_array_equal(y[:, :, :-1, 1:, 2], clips[:, :, 1:, :-1, 2])


def test_space_alone_is_causal_as_it_is():
    module, clips = layer(Shift2D, causal=True), random_clips(*SHAPE)
    plain = layer(Shift2D)
    np.testing.assert_array_equal(shifted(module, clips), shifted(plain, clips))


def test_every_causal_shift_learns_and_the_sign_turns_the_gradient():
    def gradient(time):
        module = layer(causal=True)
        module.shift[0] = jnp.full(SHAPE[-1], time)
        graphdef, state = nnx.split(module)
        clips = random_clips(*SHAPE)
        loss = lambda state: (nnx.merge(graphdef, state)(clips) ** 2).sum()
        return np.asarray(nnx.as_pure(jax.jit(jax.grad(loss))(state))["shift"])

    ahead, back = gradient(0.4), gradient(-0.4)
    np.testing.assert_allclose(ahead[0], -back[0], rtol=1e-5)
    np.testing.assert_allclose(ahead[1:], back[1:], rtol=1e-5)
    assert (gradient(0.0)[0] != 0).all()


@pytest.mark.parametrize(
    ("quantize", "dtype"), [(False, "float32"), (True, "bfloat16")]
)
def test_shift_learns_within_its_bound(quantize, dtype):
    module = layer(quantize=quantize)
    module.shift[0, 3], module.shift[1, 5] = 2.5, -7.0
    clips = random_clips(*SHAPE).astype(dtype)

    @jax.jit
    def gradient(module, clips):
        graphdef, state = nnx.split(module)

        def loss(state):
            y = nnx.merge(graphdef, state)(clips)
            return (y.astype(jnp.float32) ** 2).sum()

        return nnx.as_pure(jax.grad(loss)(state))["shift"]

    found = np.array(gradient(module, clips))
    assert found.dtype == np.float32 and np.isfinite(found).all()
    assert found[0, 3] == found[1, 5] == 0
    found[0, 3] = found[1, 5] = 1
    assert (found != 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_shift": np.inf}, "max_shift must be a finite .* got inf"),
        ({"time_init": "tms"}, 'time_init must be "uni<number>".* got .tms'),
        ({"time_init": "uni"}, 'time_init must be "uni<number>".* got .uni'),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        layer(**options)
