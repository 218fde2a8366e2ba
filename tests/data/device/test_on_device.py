"""Flip, normalisation and cast, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidshift.data.device.on_device import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    normalise,
    prepare,
)
from vidshift.tasks import MULTI_LABEL

SWAP = (1, 0, 2)


def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "video": rng.integers(0, 256, (3, 2, 4, 5, 3), np.uint8),
        "label": np.array([0, 1, 2], np.int32),
        "flip": np.array([True, False, True]),
    }


def test_flips_and_normalises():
    given = batch()
    clips, labels = jax.jit(lambda b: prepare(b, flip_labels=SWAP))(given)
    expected = given["video"].copy()
    expected[[0, 2]] = expected[[0, 2], :, :, ::-1]
    expected = (expected / 255 - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(clips, expected, rtol=1e-5, atol=1e-6)
    assert labels.tolist() == [1, 1, 2] and labels.dtype == jnp.int32


def test_a_flip_maps_each_of_several_labels():
    # Not its own inverse, so that the direction shows: 0 -> 1 -> 2 -> 0, and 3 stays.
    turn = (1, 2, 0, 3)
    rows = np.array([[1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]], np.uint8)
    _, labels = jax.jit(lambda b: prepare(b, flip_labels=turn, task=MULTI_LABEL))(
        batch() | {"label": rows}
    )
    assert labels.tolist() == [[0, 1, 0, 1], [1, 0, 0, 1], [1, 0, 1, 0]]
    assert labels.dtype == jnp.uint8
    same = prepare(batch() | {"label": rows})[1]
    assert same.tolist() == rows.tolist()


def test_nothing_is_flipped_without_flip_labels():
    given = batch()
    clips, labels = prepare(given, mean=(0.0,) * 3, std=(1.0,) * 3)
    np.testing.assert_allclose(clips, given["video"] / 255, rtol=1e-6)
    assert labels.tolist() == [0, 1, 2]


def test_evaluation_batches_have_views():
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (2, 6, 2, 4, 4, 3), np.uint8)
    clips, labels = prepare(
        {"video": video, "label": np.array([4, -1], np.int32)}, dtype=jnp.bfloat16
    )
    assert clips.shape == video.shape and clips.dtype == jnp.bfloat16
    assert labels.tolist() == [4, -1]


def test_only_bytes_are_divided_by_255():
    with pytest.raises(ValueError, match="must be uint8, got float32"):
        prepare(batch() | {"video": np.zeros((3, 2, 4, 4, 3), np.float32)})


def test_channels_in_the_order_of_the_network():
    given = batch()
    # Mean and std are in the network's order, too.
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    clips, _ = jax.jit(lambda b: prepare(b, mean=mean, std=std, channel_order="bgr"))(
        given
    )
    expected = (given["video"][..., ::-1] / 255 - mean) / std
    np.testing.assert_allclose(clips, expected, rtol=1e-5, atol=1e-6)
    same = normalise(given["video"], channel_order="rgb")
    np.testing.assert_array_equal(same, normalise(given["video"]))


def test_each_stacked_difference_has_its_channels_in_order():
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (2, 1, 2, 2, 9), np.uint8)
    out = normalise(
        video, mean=(0.0,) * 3, std=(1.0,) * 3, modality="rgb_diff", channel_order="bgr"
    )
    difference = (video[..., 3:].astype(int) - video[..., :-3]) / 255
    expected = difference[..., [2, 1, 0, 5, 4, 3]]
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_an_order_of_channels_must_mean_something():
    with pytest.raises(ValueError, match=r"one of \('rgb', 'bgr'\), got 'RGB'"):
        prepare(batch(), channel_order="RGB")
    flow = np.zeros((2, 1, 2, 2, 6), np.uint8)
    with pytest.raises(ValueError, match="modality='flow' with 6 channels"):
        normalise(flow, mean=(0.5,), std=(1.0,), modality="flow", channel_order="bgr")
    normalise(flow, mean=(0.5,), std=(1.0,), modality="flow")
