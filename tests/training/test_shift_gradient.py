"""The gradient of learned shifts: equations 9 and 10, and the official kernel's form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from tests.support.files import GOLDEN
from tests.support.networks import random_clips, random_network
from vidshift import create, train_view
from vidshift.config import OptimConfig
from vidshift.nets.weights import split
from vidshift.training.optimizer import make_optimizer, parameter_kinds
from vidshift.training.shift_gradient import normalised

GOLDEN = GOLDEN / "rubiks_shift3d.npz"


def test_worked_by_hand():
    gradient = jnp.asarray([[3.0, 2.0], [0.0, 0.0], [4.0, 0.0]])
    one = normalised(gradient, form="paper", time_factor=1.0)
    np.testing.assert_allclose(one, [[0.6, 1.0], [0, 0], [0.8, 0]], rtol=1e-6)
    # Z is sqrt(0.25 * 9 + 16) in the paper, sqrt(0.0625 * 9 + 16) in the code.
    gradient = gradient[:, :1]
    found = normalised(gradient, form="paper", time_factor=0.25)
    np.testing.assert_allclose(found[:, 0] * 18.25**0.5, [0.75, 0, 4], rtol=1e-6)
    found = normalised(gradient, form="official", time_factor=0.25)
    np.testing.assert_allclose(found[:, 0] * 16.5625**0.5, [0.75, 0, 4], rtol=1e-6)
    found = normalised(gradient, form="none", time_factor=0.25)
    np.testing.assert_array_equal(found, gradient)


@pytest.mark.parametrize("factor", [1.0, 0.1])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_official_form_is_the_official_kernels(stride, factor):
    golden = np.load(GOLDEN)
    raw = jnp.asarray(golden[f"s{stride}_shift_grad_raw"], jnp.float32)
    found = normalised(raw, form="official", time_factor=factor)
    expected = golden[f"s{stride}_shift_grad_norm_t{factor}"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_the_size_of_the_gradient_says_nothing(size):
    gradient = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    plain = normalised(jnp.asarray(gradient), form="paper", time_factor=0.1)
    scaled = jnp.asarray(np.float32(size) * gradient)
    found = normalised(scaled, form="paper", time_factor=0.1)
    np.testing.assert_allclose(found, plain, rtol=1e-4)


def test_a_channel_without_a_gradient_stays_where_it_is():
    gradient = jnp.asarray([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    found = np.asarray(normalised(gradient, form="paper", time_factor=0.1))
    assert found[:, 0].tolist() == [0, 0, 0] and np.isfinite(found).all()
    # With a factor of 0 and space still there is no direction left.
    time = normalised(jnp.asarray([[2.0], [0], [0]]), form="paper", time_factor=0.0)
    assert time.tolist() == [[2.0], [0.0], [0.0]]


@pytest.mark.parametrize(("rows", "expected"), [(2, [[0.6], [0.8]]), (1, [[1.0]])])
def test_fewer_rows_are_space_or_time(rows, expected):
    gradient = jnp.asarray([[3.0], [4.0]])[:rows]
    found = normalised(gradient, form="official", time_factor=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# ------------------------------------------------------------------ in the optimiser
def micro(**options) -> nnx.Module:
    return nnx.eval_shape(
        lambda: create("rubiksnet_micro", num_classes=4, num_frames=4, **options)
    )


def test_shifts_and_attention_are_kinds_of_their_own():
    kinds = parameter_kinds(micro())
    assert {n for n, k in kinds.items() if k == "shift"} == {
        f"stages.{i}.0.shift.shift" for i in range(3)
    }
    kinds = parameter_kinds(micro(variant="attention"))
    assert {n for n, k in kinds.items() if k == "attention"} == {
        f"stages.{i}.0.attention.weight" for i in range(3)
    }
    assert sorted(set(kinds.values())) == [
        "attention",
        "head_bias",
        "head_weight",
        "norm",
        "shift",
        "weight",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["interpolated", "quantized"])
def test_a_causal_network_learns_its_shifts(variant):
    model = random_network(
        lambda: create(
            "rubiksnet_micro", num_classes=4, num_frames=3, causal=True, variant=variant
        )
    )
    kinds = parameter_kinds(model)
    tx = make_optimizer(OptimConfig(), kinds, lambda step: 1.0, steps_per_epoch=4)
    skeleton, params, stats = split(train_view(model))
    name = "stages.0.0.shift.shift"
    params[name] = params[name].at[0, :2].set(jnp.asarray([0.0, -0.5]))
    clips = random_clips(2, 3, 8, 8, 3)

    @jax.jit
    def step(params, state):
        loss = lambda params: (
            -jax.nn.log_softmax(skeleton.merge(params, stats)(clips))[:, 1].sum()
        )
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    before, state = params, tx.init(params)
    for _ in range(2):
        params, state = step(params, state)
    for shift in (name for name, kind in kinds.items() if kind == "shift"):
        moved = np.abs(params[shift] - before[shift])
        assert np.isfinite(moved).all() and (moved[0] > 0).all()
        # A direction of length 1 at most, at a hundredth of the rate, with momentum.
        assert moved.max() <= 0.01 * (1 + 1.9) + 1e-6


KINDS = {"conv": "weight", "shift": "shift", "attention": "attention"}


def moves(config: OptimConfig, steps: int, *, lr=1.0) -> list[dict[str, np.ndarray]]:
    """What each step adds to the parameters, of one gradient again and again."""
    tx = make_optimizer(config, KINDS, lambda step: lr, steps_per_epoch=4)
    rng = np.random.default_rng(2)
    params = {k: jnp.asarray(rng.normal(size=(3, 2)), jnp.float32) for k in KINDS}
    grads = {k: jnp.asarray(rng.normal(size=(3, 2)), jnp.float32) for k in KINDS}
    state, found = tx.init(params), []
    for _ in range(steps):
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        found.append({k: np.asarray(u) for k, u in updates.items()})
    return found


def test_the_learning_rate_of_shifts_after_the_warm_up_and_before():
    config = OptimConfig(momentum=0.0, weight_decay=0.0, clip_norm=None)
    config.shift.warmup_epochs, config.shift.warmup_lr = 0.5, 0.25
    first, second, third, fourth = moves(config, 4)
    unit = np.abs(first["shift"]) / 0.25
    np.testing.assert_allclose(np.abs(second["shift"]) / 0.25, unit, rtol=1e-6)
    for after in (third, fourth):
        np.testing.assert_allclose(np.abs(after["shift"]) / 0.01, unit, rtol=1e-5)
    for name in ("conv", "attention"):
        np.testing.assert_array_equal(first[name], fourth[name])


def test_shifts_and_attention_do_not_decay():
    without, heavy = (OptimConfig(weight_decay=w, clip_norm=None) for w in (0.0, 10.0))
    for a, b in zip(moves(without, 2), moves(heavy, 2), strict=True):
        for name in ("shift", "attention"):
            np.testing.assert_array_equal(a[name], b[name])
        assert (a["conv"] != b["conv"]).all()


def test_the_attentions_own_learning_rate():
    config = OptimConfig(weight_decay=0.0, clip_norm=None)
    (plain,) = moves(config, 1)
    config.attention.lr = 0.5
    (half,) = moves(config, 1)
    np.testing.assert_allclose(half["attention"], 0.5 * plain["attention"], rtol=1e-6)
    np.testing.assert_array_equal(half["conv"], plain["conv"])


def test_clipping_is_of_the_others_where_shifts_are_normalised():
    config = OptimConfig(momentum=0.0, weight_decay=0.0, clip_norm=0.5)
    (clipped,) = moves(config, 1)
    rest = [clipped[name] for name in ("conv", "attention")]
    norm = np.sqrt(sum((u**2).sum() for u in rest))
    assert norm == pytest.approx(0.5, rel=1e-5)
    config.clip_norm = None
    (free,) = moves(config, 1)
    np.testing.assert_array_equal(clipped["shift"], free["shift"])
    # As they are they count and are clipped like all others.
    config.clip_norm, config.shift.gradient, config.shift.lr = 0.5, "none", 1.0
    (raw,) = moves(config, 1)
    norm = np.sqrt(sum((u**2).sum() for u in raw.values()))
    assert norm == pytest.approx(0.5, rel=1e-5)


def test_an_unknown_form_is_an_error():
    config = OptimConfig()
    config.shift.gradient = "papers"
    with pytest.raises(ValueError, match="optim.shift.gradient 'papers'.*official"):
        make_optimizer(config, KINDS, lambda step: 0.1, steps_per_epoch=1)
