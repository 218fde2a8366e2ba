"""Draws of augmentations, their way to the pixels, and the clips that they leave alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from PIL import Image

from tests.data.device.test_affine import PILLOW as MOVES
from tests.data.device.test_pixel_ops import PILLOW
from tests.data.loading.test_loader import SPLIT, VIEW, assert_same, take
from tests.support.collectives import COLLECTIVES
from tests.support.pictures_for_augment import frames
from vidshift.config import Config, check
from vidshift.data.device.apply_augment import apply
from vidshift.data.device.augment import NONE, Augment
from vidshift.data.device.on_device import prepare
from vidshift.data.device.operations import OPERATIONS, place
from vidshift.data.loading import plan
from vidshift.data.loading.loader import train_batches
from vidshift.data.views.sampling import segment_indices

RAND = Augment(rand_ops=2)
JITTERED = Augment(brightness=0.4, contrast=0.3, saturation=0.2, hue=0.1)
BOTH = Augment(rand_ops=2, brightness=0.4, hue=0.1)


def draws(augment: Augment, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of draws, each of its own element."""
    rows = [augment.draw(plan.augmentation_rng(seed, i)) for i in range(count)]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def args_of(drawn: dict[str, np.ndarray], name: str) -> np.ndarray:
    return drawn["augment_arg"][drawn["augment_op"] == place(name)]


# ---------------------------------------------------------------------------- drawing


def test_nothing_on_draws_nothing():
    for off in (Augment(), Augment(rand_magnitude=3.0, rand_std=2.0)):
        rng = np.random.default_rng(0)
        assert off.draw(rng) == {} and not off.on
        assert rng.random() == np.random.default_rng(0).random()


def test_shapes_are_those_of_the_fields():
    for augment, turns in ((RAND, 2), (JITTERED, 4), (BOTH, 4), (Augment(hue=0.5), 1)):
        drawn = draws(augment, 3)
        assert drawn["augment_op"].shape == drawn["augment_arg"].shape == (3, turns)
        assert drawn["augment_op"].dtype == np.int32
        assert drawn["augment_arg"].dtype == np.float32


def test_operations_come_at_their_rates():
    drawn = draws(Augment(rand_ops=3, rand_probability=0.6), 4000)
    ops = drawn["augment_op"].ravel()
    assert abs((ops == NONE).mean() - 0.4) < 0.02
    assert not (ops == place("Hue")).any()
    for name in {*OPERATIONS} - {"Hue"}:
        rate = (ops == place(name)).mean()
        assert abs(rate - 0.6 / 15) < 0.008, name  # four deviations
    # Turns are independent of one another.
    on = drawn["augment_op"] != NONE
    assert abs((on[:, 0] & on[:, 1]).mean() - 0.36) < 0.03
    assert not (
        draws(Augment(rand_ops=1, rand_probability=1.0), 200)["augment_op"] < 0
    ).any()
    assert (
        draws(Augment(rand_ops=1, rand_probability=0.0), 200)["augment_op"] < 0
    ).all()


def test_magnitudes_are_timms():
    drawn = draws(Augment(rand_ops=20, rand_probability=1.0), 600)
    # 4 at a magnitude of 10, where it is cut off; 2 below 7.5.
    assert {3, 4} <= set(args_of(drawn, "Posterize")) <= {2, 3, 4}
    assert set(args_of(drawn, "Equalize")) == {0}
    factor = args_of(drawn, "Color")
    assert abs(factor.mean() - 1.72) < 0.02 and abs(factor.std() - 0.09) < 0.01
    assert np.isclose(factor.max(), 1.9)  # cut off at a magnitude of 10
    for name, most in (("Rotate", 30), ("ShearY", 0.3), ("TranslateXRel", 0.45)):
        arg = args_of(drawn, name)
        assert abs((arg < 0).mean() - 0.5) < 0.1
        assert abs(np.abs(arg).mean() / most - 0.9) < 0.02
        assert np.isclose(np.abs(arg).max(), most)
    exact = draws(Augment(rand_ops=20, rand_magnitude=5, rand_std=0), 100)
    assert set(args_of(exact, "Solarize")) == {128}
    assert set(args_of(exact, "SolarizeAdd")) == {55}


def test_jitter_is_within_its_limits_and_in_any_order():
    drawn = draws(Augment(brightness=0.4, contrast=1.5, saturation=0.2, hue=0.1), 2000)
    for name, least, most in (
        ("Brightness", 0.6, 1.4),
        ("Contrast", 0.0, 2.5),
        ("Color", 0.8, 1.2),
        ("Hue", -0.1, 0.1),
    ):
        arg = args_of(drawn, name)
        assert len(arg) == 2000 and least <= arg.min() and arg.max() <= most
        assert np.isclose([arg.min(), arg.max()], [least, most], atol=0.01).all()
        turn = np.where(drawn["augment_op"] == place(name))[1]
        assert (np.abs(np.bincount(turn) / 2000 - 0.25) < 0.04).all()
    # RandAugment's turns come before.
    assert (draws(BOTH, 50)["augment_op"][:, 2:] != NONE).all()


@pytest.mark.parametrize(
    "field, value",
    [
        ("rand_ops", -1),
        ("rand_ops", 1.5),
        ("rand_magnitude", 10.5),
        ("rand_magnitude", float("nan")),
        ("rand_std", float("inf")),
        ("rand_probability", 1.1),
        ("brightness", -0.1),
        ("contrast", -1.0),
        ("saturation", float("nan")),
        ("hue", 0.6),
    ],
)
def test_values_that_no_augmentation_could_mean(field, value):
    config = Config()
    setattr(config.data.augment, field, value)
    with pytest.raises(ValueError, match=rf"config\.data\.augment\.{field} .*{value}"):
        check(config)
    with pytest.raises(ValueError, match=rf"^augment\.{field} .*{value}"):
        train_batches(SPLIT, VIEW, batch_size=4, seed=0, augment=config.data.augment)


# --------------------------------------------------------------------------- batches


def test_without_augmentation_batches_are_as_they_were():
    before, off, on = take(3), take(3, augment=Augment()), take(3, augment=BOTH)
    assert before[0].keys() == {"video", "label", "flip", "fingerprint"}
    assert_same(before, off)
    assert on[0].keys() - before[0].keys() == {"augment_op", "augment_arg"}
    assert_same(before, [{key: b[key] for key in before[0]} for b in on])


def test_a_draw_is_a_function_of_seed_and_element():
    batches = take(3, augment=BOTH)
    for element in range(12):
        rng = plan.augmentation_rng(5, element)
        segment_indices(12, 4, rng=rng)  # what comes first: frames, crop, flip
        rng.random(2), rng.random()
        step, row = divmod(element, 4)
        for key, value in BOTH.draw(rng).items():
            np.testing.assert_array_equal(batches[step][key][row], value)
    assert_same(batches[1:], take(2, start_step=1, augment=BOTH, workers=2))


@pytest.mark.parametrize("modality", ["flow", "rgb_diff"])
def test_only_rgb_can_be_augmented(modality):
    other = dataclasses.replace(SPLIT, modality=modality, stack=2)
    with pytest.raises(
        ValueError, match=f"augment=Augment.* for frames of '{modality}'"
    ):
        train_batches(other, VIEW, batch_size=4, seed=0, augment=RAND)
    train_batches(other, VIEW, batch_size=4, seed=0, augment=Augment()).close()
    batch = {"video": np.zeros((2, 1, 4, 4, 6), np.uint8), "label": np.zeros(2, int)}
    with pytest.raises(ValueError, match=f"modality='{modality}'"):
        prepare(batch | draws(RAND, 2), modality=modality)
    with pytest.raises(ValueError, match=r"got uint8 \[2, 1, 4, 4, 6\]"):
        prepare(batch | draws(RAND, 2))


# ------------------------------------------------------------------------- the device


def clips(count: int, size: tuple[int, int] = (18, 20)) -> np.ndarray:
    """uint8 [count, 3, ...], other frames in each clip."""
    kinds = frames(*size)
    return np.stack([np.roll(kinds, i, 0)[:3] for i in range(count)])


def one_op(name: str, arg: float, count: int = 1) -> dict[str, np.ndarray]:
    return {
        "augment_op": np.full((count, 1), place(name), np.int32),
        "augment_arg": np.full((count, 1), arg, np.float32),
    }


@pytest.fixture(scope="module")
def jitted():
    return jax.jit(apply)


@pytest.mark.parametrize("name", OPERATIONS)
def test_all_frames_of_a_clip_are_changed_alike(jitted, name):
    video = clips(1)[:, :1].repeat(3, 1)
    arg = OPERATIONS[name].argument(9, -1) if name != "Hue" else 0.3
    (out,) = np.asarray(jitted(video, one_op(name, arg)))
    assert (out != video[0]).any()
    np.testing.assert_array_equal(out[1:], out[:1].repeat(2, 0))
    # It is the operation of that name; Pillow has no hue.
    if name != "Hue":
        expected = (PILLOW | MOVES)[name](Image.fromarray(video[0, 0]), arg)
        assert np.abs(out[0].astype(int) - np.asarray(expected)).max() <= 1


def test_turns_are_done_one_after_another_and_clips_apart(jitted):
    video = clips(3)
    names = [("Invert", "Solarize"), ("Solarize", "Invert"), (None, "Posterize")]
    given = {"Invert": 0, "Solarize": 90, "Posterize": 3}
    ops = [[place(n) if n else NONE for n in pair] for pair in names]
    drawn = {
        "augment_op": np.array(ops, np.int32),
        "augment_arg": np.array(
            [[given.get(n, 0) for n in p] for p in names], np.float32
        ),
    }
    out = np.asarray(jitted(video, drawn))
    for clip, pair, got in zip(video, names, out, strict=True):
        for frame, changed in zip(clip, got, strict=True):
            picture = Image.fromarray(frame)
            for name in filter(None, pair):
                picture = PILLOW[name](picture, given[name])
            np.testing.assert_array_equal(changed, np.asarray(picture))


def test_jitter_is_that_of_pillow_in_the_order_drawn(jitted):
    video = clips(4)
    drawn = draws(Augment(brightness=0.3, contrast=0.3, saturation=0.3), 4)
    assert len({tuple(row) for row in drawn["augment_op"]}) > 1
    out = np.asarray(jitted(video, drawn)).astype(int)
    for clip, ops, args, got in zip(video, *drawn.values(), out, strict=True):
        for frame, changed in zip(clip, got, strict=True):
            picture = Image.fromarray(frame)
            for op, arg in zip(ops, args.tolist(), strict=True):
                picture = PILLOW[list(OPERATIONS)[op]](picture, arg)
            # One level in a turn may become two in the next.
            assert np.abs(changed - np.asarray(picture)).max() <= 2


def test_other_draws_need_no_other_program():
    counted = jax.jit(lambda video, drawn: apply(video, drawn))
    video = clips(4)
    outs = [np.asarray(counted(video, draws(BOTH, 4, seed))) for seed in range(3)]
    assert counted._cache_size() == 1
    assert (outs[0] != outs[1]).any() and (outs[1] != outs[2]).any()


@pytest.mark.parametrize("given", [{}, {"flip_labels": (1, 0)}])
def test_clips_are_flipped_then_augmented_then_normalised(given):
    video = clips(2, (8, 12))
    batch = {"video": video, "label": np.array([0, 1]), "flip": np.array([True, False])}
    batch |= one_op("TranslateXRel", 0.25, count=2)
    out, labels = jax.jit(lambda b: prepare(b, mean=(0.0,), std=(1.0,), **given))(batch)
    expected = video / 255
    if given:
        expected[0] = expected[0, :, :, ::-1].copy()
        assert labels.tolist() == [1, 1]
    np.testing.assert_allclose(out[:, :, :, :9], expected[:, :, :, 3:], rtol=1e-6)
    np.testing.assert_allclose(out[:, :, :, 9:, 0], 124 / 255, rtol=1e-6)


def test_each_device_augments_its_own_clips(devices, jitted):
    batch = {"video": clips(16)} | draws(Augment(rand_ops=2, rand_probability=1.0), 16)
    rows = NamedSharding(devices, PartitionSpec("data"))
    spread = {key: jax.device_put(value, rows) for key, value in batch.items()}
    lowered = jitted.lower(spread["video"], spread)
    text = lowered.compile().as_text()
    assert not [name for name in COLLECTIVES if name in text]
    out = jitted(spread["video"], spread)
    assert out.sharding.is_equivalent_to(rows, out.ndim)
    np.testing.assert_array_equal(out, jitted(batch["video"], batch))
    # There would be some if the rows had to come together: the check works.
    every = lambda b: apply(b["video"][::-1], b)
    text = jax.jit(every, out_shardings=rows).lower(spread).compile().as_text()
    assert [name for name in COLLECTIVES if name in text]


def test_only_bytes_are_taken():
    video = jnp.zeros((2, 3, 4, 4, 3), jnp.float32)
    with pytest.raises(ValueError, match=r"must be uint8 \[B, T, H, W, 3\], got"):
        apply(video, draws(RAND, 2))
