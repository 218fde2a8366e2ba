"""Figures by hand, and scores that depend neither on batch size nor on devices."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.support.networks import random_network, resnet
from vidshift.data.loading.loader import Batches
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View
from vidshift.devices.mesh import replicate, shard_batch
from vidshift.evaluation import evaluate
from vidshift.evaluation.evaluate import Scores, make_eval_step
from vidshift.evaluation.protocols import PROTOCOLS, Protocol
from vidshift.nets.weights import split
from vidshift.tasks import MULTI_LABEL, MultiTask, metrics

# One clip of class 0, two of class 1, none of class 2, one of class 3.
SCORES = np.array(
    [
        [0.9, 0.1, 0.0, 0.2],  # right
        [0.4, 0.3, 0.1, 0.0],  # 0, second is right
        [0.1, 0.7, 0.2, 0.0],  # right
        [0.1, 0.8, 0.3, 0.2],  # 1, third is right
    ],
    np.float32,
)
LABELS = np.array([0, 1, 1, 3])


@pytest.mark.parametrize(("k", "share"), [(1, 0.5), (2, 0.75), (3, 1.0), (5, 1.0)])
def test_top_k(k, share):
    assert metrics.top_k(SCORES, LABELS, k) == share


def test_ties_and_nan_are_never_right():
    tied = np.zeros((2, 4))
    assert metrics.top_k(tied, np.array([0, 3]), 1) == 0
    assert metrics.top_k(tied, np.array([0, 3]), 3) == 0
    one = np.array([[1.0, 2.0, 2.0, 0.0]])
    assert [metrics.top_k(one, np.array([1]), k) for k in (1, 2)] == [0, 1]
    broken = np.array([[np.nan, 1.0], [0.0, np.nan], [np.nan, np.nan]])
    assert metrics.top_k(broken, np.array([0, 0, 1]), 1) == 0
    assert np.isnan(metrics.top_k(np.zeros((0, 4)), np.zeros(0, int), 1))


def test_confusion_counts_true_by_predicted():
    assert metrics.confusion(SCORES, LABELS).tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]


def test_right_pair_forgives_the_reverse():
    assert metrics.right_pair(SCORES, LABELS, (1, 0, 3, 2)) == 0.75
    assert metrics.right_pair(SCORES, LABELS, (0, 1, 2, 3)) == 0.5


def test_summary():
    scores = Scores(SCORES, LABELS, np.arange(4), ("a", "b", "c", "d"), ())
    assert scores.summary() == {"clips": 4, "top1": 0.5, "top5": 1.0}
    assert scores.summary((1, 0, 3, 2))["right_pair"] == 0.75


# Scores and labels of one class, and its average precision by hand.
RANKED = {
    # Right at ranks 1 and 3 of 4: (1 + 2/3) / 2.
    "one by one": ([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], 5 / 6),
    "in any order": ([0.1, 0.7, 0.9, 0.8], [0, 1, 1, 0], 5 / 6),
    # At 0.8 three clips, two of them right; at 0.2 the fourth of five.
    "ties": ([0.8, 0.8, 0.8, 0.5, 0.2], [1, 0, 1, 0, 1], 2 / 3 * 2 / 3 + 1 / 3 * 3 / 5),
    "all alike": ([0.3, 0.3, 0.3, 0.3], [0, 0, 0, 1], 1 / 4),
    "best": ([3.0, 2.0, -1.0], [1, 1, 0], 1.0),
    "worst": ([3.0, 2.0, -1.0], [0, 0, 1], 1 / 3),
    "NaN is lowest": ([np.nan, 2.0, -1.0, np.nan], [1, 0, 1, 0], 1 / 4 + 1 / 4),
}


@pytest.mark.parametrize("name", RANKED)
def test_average_precision(name):
    scores, labels, wanted = RANKED[name]
    columns = np.array([scores]).T, np.array([labels], np.uint8).T
    np.testing.assert_allclose(metrics.average_precision(*columns), [wanted])


# Of three classes; none has the second, and the last clip has no label.
SEVERAL = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]], np.uint8)
SEVERAL_SCORES = np.array(
    [[0.9, 0.9, 0.2], [0.8, 0.1, 0.9], [0.7, 0.5, 0.5], [0.1, 0.4, 0.1]], np.float32
)


def test_classes_without_clips_are_left_out_of_the_mean():
    found = metrics.average_precision(SEVERAL_SCORES, SEVERAL)
    np.testing.assert_allclose(found, [5 / 6, np.nan, 5 / 6])
    mean = metrics.mean_average_precision(SEVERAL_SCORES, SEVERAL)
    assert mean == pytest.approx(5 / 6)
    with pytest.raises(ValueError, match="needs a clip that has a label, got none"):
        metrics.mean_average_precision(SEVERAL_SCORES, 0 * SEVERAL)


def test_summary_of_several_labels():
    scores = Scores(
        SEVERAL_SCORES, SEVERAL, np.arange(4), tuple("abcd"), (), MULTI_LABEL
    )
    assert scores.summary((0, 1, 2)) == {"clips": 4, "mAP": pytest.approx(5 / 6)}
    np.testing.assert_allclose(scores.per_class(), [5 / 6, np.nan, 5 / 6])
    one = Scores(SCORES, LABELS, np.arange(4), tuple("abcd"), ())
    np.testing.assert_array_equal(one.per_class(), [1.0, 0.5, np.nan, 0.0])


def shown(crop: int, **facts) -> dict:
    """Options of `make_eval_step` for clips of a size and a split of some facts."""
    return {"view": View(2, crop, crop), "data": Split([], ("a", "b"), **facts)}


class Brightness(nnx.Module):
    """Logits `[B, 2]`: the clip's mean, and less it."""

    def __call__(self, clips):
        mean = clips.mean((1, 2, 3, 4))
        return jnp.stack([mean, -mean], -1)


def test_several_labels_take_the_maximum_over_views(devices):
    """Only one view of each video is bright, or dark."""
    video = np.full((8, VIEWS, 1, 2, 2, 3), 100, np.uint8)
    video[:4, 1], video[4:, 2] = 250, 3
    skeleton, params, stats = split(Brightness())
    as_it_is = lambda x: x.astype(jnp.float32)
    step = make_eval_step(
        skeleton, as_it_is, devices, Protocol(VIEWS, 1), **shown(2, task=MULTI_LABEL)
    )
    rows = of_one_size(video) | {"index": np.arange(8)}
    several = {"label": np.zeros((8, 2), np.uint8)}
    found, labels, _ = step(params, stats, shard_batch(devices, rows | several))
    assert found[:4].tolist() == [[250, -100]] * 4
    assert found[4:].tolist() == [[100, -3]] * 4
    assert labels.shape == (8, 2)


@pytest.mark.parametrize(
    ("name", "clips", "crops", "side", "average"),
    [
        ("1x10", 1, 10, 224, "logits"),
        ("2x3-full", 2, 3, 256, "logits"),
        ("30-view", 10, 3, 256, "softmax"),
        ("10-whole", 10, "whole", 256, "logits"),
    ],
)
def test_protocols(name, clips, crops, side, average):
    protocol = PROTOCOLS[name]
    assert (protocol.clips, protocol.crops, protocol.average) == (clips, crops, average)
    assert protocol.view(View(8, 256, 224)).crop == side


def of_one_size(video: np.ndarray) -> dict[str, np.ndarray]:
    """A batch of clips that need no cutting."""
    places = np.zeros((len(video), 1, 2), np.int32)
    return {"video": video, "places": places, "swapped": np.zeros(len(video), bool)}


def test_softmax_is_averaged_and_given_as_its_logarithm(devices):
    video = _RNG.integers(0, 256, (8, VIEWS, 1, 2, 2, 3), np.uint8)
    skeleton, params, stats = split(Brightness())
    protocol = Protocol(VIEWS, 1, average="softmax")
    step = make_eval_step(skeleton, normalise, devices, protocol, **shown(2))
    rows = of_one_size(video)
    rows |= {"index": np.arange(8), "label": np.zeros(8, np.int32)}
    found, _, _ = step(params, stats, shard_batch(devices, rows))
    mean = (video / 255 - 0.5).mean((2, 3, 4, 5))
    shares = 1 / (1 + np.exp(-2 * mean))  # of class 0
    np.testing.assert_allclose(np.exp(found[:, 0]), shares.mean(1), rtol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(1), 1, rtol=1e-5)


def test_each_task_has_a_softmax_of_its_own():
    logits = _RNG.normal(size=(3, 5, 6)).astype(np.float32)
    found = MultiTask({"verb": 2, "noun": 4}).average(jnp.asarray(logits), "softmax")
    for part in (slice(0, 2), slice(2, 6)):
        shares = jax.nn.softmax(logits[..., part]).mean(0)
        np.testing.assert_allclose(np.exp(found[:, part]), shares, rtol=1e-5)


class LeftMinusRight(nnx.Module):
    """Logits `[B, 3]`: bright at the left, bright at the right, anything else."""

    def __call__(self, clips):
        left = clips[:, :, :, :2].mean((1, 2, 3, 4))
        right = clips[:, :, :, 2:].mean((1, 2, 3, 4))
        return jnp.stack([left - right, right - left, jnp.zeros_like(left)], -1)


def test_a_mirror_image_has_the_mirrored_class(devices):
    video = np.zeros((8, 1, 1, 4, 4, 3), np.uint8)
    video[..., :2, :] = 255
    rows = of_one_size(video) | {"index": np.arange(8), "label": np.zeros(8, np.int32)}
    rows["places"] = np.zeros((8, 5, 2), np.int32)
    skeleton, params, stats = split(LeftMinusRight())
    for flip_labels, expected in (((1, 0, 2), [1, -1, 0]), ((0, 1, 2), [0, 0, 0])):
        step = make_eval_step(
            skeleton,
            normalise,
            devices,
            PROTOCOLS["1x10"],
            **shown(4, flip_labels=flip_labels),
        )
        found, _, _ = step(params, stats, shard_batch(devices, rows))
        np.testing.assert_allclose(found[0], expected, atol=1e-6)


VIEWS, ROWS = 3, 19
_RNG = np.random.default_rng(0)
VIDEOS = _RNG.integers(0, 256, (ROWS, VIEWS, 2, 4, 4, 3), np.uint8)
TRUE = _RNG.integers(0, 4, ROWS)
FAILED = (4, 18)  # rows that cannot be decoded


class Fake(Batches):
    """What `eval_batches` gives: batches, the last one filled up with padding."""

    def __init__(self, batch_size: int, order=None):
        self.failures = [(f"clip {row}", "damaged") for row in FAILED]
        rows = [row for row in range(ROWS) if row not in FAILED]
        rows = rows if order is None else [rows[i] for i in order]
        rows += [-1] * (-len(rows) % batch_size if rows else batch_size)
        self._batches = iter(np.array(rows).reshape(-1, batch_size))

    def __next__(self):
        rows = next(self._batches)
        return {
            **of_one_size(VIDEOS[rows]),  # padding is anything
            "label": np.where(rows < 0, -1, TRUE[rows]).astype(np.int32),
            "index": rows.astype(np.int32),
            "id": np.array([f"clip {row}" if row >= 0 else "" for row in rows]),
        }


def normalise(video):
    return video.astype(jnp.float32) / 255 - 0.5


@pytest.fixture(scope="module")
def model():
    return random_network(lambda: resnet(()))


@pytest.fixture(scope="module")
def step_and_weights(model, devices):
    skeleton, params, stats = split(model)
    protocol = Protocol(VIEWS, 1)
    step = make_eval_step(skeleton, normalise, devices, protocol, **shown(4))
    return step, replicate(devices, (params, stats))


@pytest.fixture
def score(step_and_weights, devices, monkeypatch):
    """Scores batches in place of those that are loaded."""
    options = {"view": View(2, 4, 4), "protocol": Protocol(VIEWS, 1), "batch_size": 8}

    def score(batches, **more):
        opened = lambda *_, **__: contextlib.nullcontext(batches)
        monkeypatch.setattr(evaluate, "eval_batches", opened)
        data = Split([{}] * ROWS, ("a", "b"))
        return evaluate.score(data, *step_and_weights, devices, **options, **more)

    return score


def test_scores_are_the_mean_over_views_of_every_row(score, model):
    scores = score(Fake(8))
    kept = [row for row in range(ROWS) if row not in FAILED]
    run = jax.jit(lambda video: model(normalise(video)))
    by_view = [run(VIDEOS[kept, view]) for view in range(VIEWS)]
    np.testing.assert_allclose(scores.logits, np.mean(by_view, 0), rtol=1e-4, atol=1e-6)
    assert scores.logits.dtype == np.float32
    assert scores.rows.tolist() == kept
    assert scores.labels.tolist() == TRUE[kept].tolist()
    assert scores.ids == tuple(f"clip {row}" for row in kept)
    assert scores.failures == (("clip 4", "damaged"), ("clip 18", "damaged"))


def test_scores_do_not_depend_on_the_batch_size(score):
    small, large = score(Fake(8)), score(Fake(24))
    np.testing.assert_allclose(large.logits, small.logits, rtol=1e-5, atol=1e-6)
    for field in ("labels", "rows", "ids", "failures"):
        np.testing.assert_array_equal(getattr(large, field), getattr(small, field))
    assert large.summary() == small.summary()


def test_scores_are_in_the_order_of_the_split(score):
    order = np.random.default_rng(1).permutation(ROWS - len(FAILED))
    plain, mixed = score(Fake(8)), score(Fake(8, order))
    np.testing.assert_allclose(mixed.logits, plain.logits, rtol=1e-5, atol=1e-6)
    assert mixed.ids == plain.ids and mixed.rows.tolist() == plain.rows.tolist()


def test_nothing_decoded(score):
    with pytest.raises(ValueError, match="no video can be decoded: damaged"):
        score(Fake(8, order=[]))


def test_asked_to_stop(score):
    asked = iter([False, True])
    assert score(Fake(8), stop=lambda: next(asked)) is None


def test_clips_without_labels_have_no_figures():
    labels = np.full(4, -1)
    scores = Scores(SCORES, labels, np.arange(4), ("a", "b", "c", "d"), ())
    assert scores.summary() == {"clips": 4}
    labels[2] = 1
    with pytest.raises(ValueError, match="3 of 4 clips have no label"):
        scores.summary()
