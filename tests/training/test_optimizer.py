"""SGD step by step against NumPy's PyTorch, schedules, kinds of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from tests.support.networks import abstract, resnet
from vidshift.config import OptimConfig
from vidshift.layers.norm import freeze
from vidshift.training import optimizer
from vidshift.training.optimizer import make_optimizer, parameter_kinds, schedule

KINDS = {
    "conv.kernel": "weight",
    "conv.bias": "bias",
    "norm.scale": "norm",
    "fc.kernel": "head_weight",
    "fc.bias": "head_bias",
    "held.scale": "frozen",
}
# TSM's get_optim_policies with fc_lr5: (learning rate, weight decay).
TSM_FC5 = {
    "conv.kernel": (1, 1),
    "conv.bias": (2, 0),
    "norm.scale": (1, 0),
    "fc.kernel": (5, 1),
    "fc.bias": (10, 0),
    "held.scale": (0, 0),
}


def draw(seed: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {k: scale * rng.normal(size=(3, 2)).astype(np.float32) for k in KINDS}


def torch_sgd(params, all_grads, config, lr, table):
    """torch.optim.SGD with param groups, after torch's clip_grad_norm_."""
    params = {k: p.astype(np.float64) for k, p in params.items()}
    buffers = {k: np.zeros_like(p) for k, p in params.items()}
    for step, grads in enumerate(all_grads):
        trained = [k for k in KINDS if KINDS[k] != "frozen"]
        norm = np.sqrt(sum((grads[k].astype(np.float64) ** 2).sum() for k in trained))
        factor = min(1.0, config.clip_norm / norm) if config.clip_norm else 1.0
        for k in trained:
            lr_mult, decay_mult = table[k]
            g = factor * grads[k] + config.weight_decay * decay_mult * params[k]
            buffers[k] = config.momentum * buffers[k] + g
            if config.nesterov:
                g = g + config.momentum * buffers[k]
            else:
                g = buffers[k]
            params[k] = params[k] - lr(step) * lr_mult * g
    return params


def ours(params, all_grads, config, lr):
    tx = make_optimizer(config, KINDS, lr, steps_per_epoch=1)
    params = {k: jnp.asarray(p) for k, p in params.items()}
    state = tx.init(params)
    for grads in all_grads:
        grads = {  # a frozen norm gives no gradient
            k: jnp.asarray(g) * (KINDS[k] != "frozen") for k, g in grads.items()
        }
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("clip_norm", [None, 2.0])
def test_is_pytorchs_sgd(clip_norm, nesterov):
    config = OptimConfig(
        weight_decay=0.1, clip_norm=clip_norm, nesterov=nesterov, groups="tsm_fc5"
    )

    def lr(step):  # another one each step: momentum must not contain it
        return 0.1 / (1 + step)

    params = draw(0)
    grads = [draw(seed, scale=0.1 if seed == 3 else 1.0) for seed in range(1, 6)]
    found = ours(params, grads, config, lr)
    wanted = torch_sgd(params, grads, config, lr, TSM_FC5)
    for name in KINDS:
        np.testing.assert_allclose(found[name], wanted[name], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("groups", "biases", "norms"),
    [("plain", (1, 0), (1, 0)), ("tsm", (2, 0), (1, 0)), ("uniform", (1, 1), (1, 1))],
)
def test_other_groups(groups, biases, norms):
    config = OptimConfig(weight_decay=0.1, groups=groups)
    table = {
        "conv.kernel": (1, 1),
        "conv.bias": biases,
        "norm.scale": norms,
        "fc.kernel": (1, 1),
        "fc.bias": biases,
    }
    grads = [draw(seed) for seed in (1, 2)]
    found = ours(draw(0), grads, config, lambda step: 0.1)
    wanted = torch_sgd(draw(0), grads, config, lambda step: 0.1, table)
    np.testing.assert_array_equal(found["held.scale"], draw(0)["held.scale"])
    for name in table:
        np.testing.assert_allclose(found[name], wanted[name], rtol=2e-6, atol=2e-6)


def test_kinds_of_a_networks_parameters():
    def make():
        model = resnet((1,))
        freeze(model, "partial")
        return model

    assert parameter_kinds(nnx.eval_shape(make)) == {
        "stem.conv.kernel": "weight",
        "stem.norm.scale": "norm",
        "stem.norm.bias": "norm",
        "stages.0.0.units.0.conv.kernel": "weight",
        "stages.0.0.units.0.norm.scale": "frozen",
        "stages.0.0.units.0.norm.bias": "frozen",
        "stages.0.0.units.1.conv.kernel": "weight",
        "stages.0.0.units.1.norm.scale": "frozen",
        "stages.0.0.units.1.norm.bias": "frozen",
        "fc.kernel": "head_weight",
        "fc.bias": "head_bias",
    }


def test_relations_are_a_head_too():
    kinds = parameter_kinds(abstract("resnet_tiny", "trn", num_frames=2))
    own = {k: kind for k, kind in kinds.items() if k.startswith("clip_head.")}
    assert len(own) == 6
    assert {k.rsplit(".", 1)[-1]: kind for k, kind in own.items()} == {
        "kernel": "head_weight",
        "bias": "head_bias",
    }


def rates(config: OptimConfig, at: list[int], **run) -> list[float]:
    run = {"batch_size": 8, "steps": 100, "steps_per_epoch": 10} | run
    lr = schedule(config, **run)
    return [float(lr(jnp.int32(step))) for step in at]


def test_slowfasts_warm_up_meets_a_cosine_that_began_with_the_run():
    """0.01 to 0.0928 over 34 of 196 epochs, as the official code's config comes to."""
    config = OptimConfig(
        lr=0.1,
        lr_batch_size=64,
        schedule="cosine_from_start",
        warmup_epochs=34.0,
        warmup_lr=0.01,
    )
    lr = schedule(config, batch_size=64, steps=19600, steps_per_epoch=100)
    np.testing.assert_allclose(lr(0), 0.01, rtol=1e-6)
    np.testing.assert_allclose(lr(3400), 0.0928, rtol=1e-3)
    np.testing.assert_allclose(lr(1700), (0.01 + lr(3400)) / 2, rtol=1e-5)
    np.testing.assert_allclose(lr(9800), 0.05, rtol=1e-5)
    twice = schedule(config, batch_size=128, steps=19600, steps_per_epoch=100)
    np.testing.assert_allclose(twice(0), 2 * lr(0), rtol=1e-6)


def test_warm_up_is_linear_and_reaches_the_peak():
    config = OptimConfig(lr=0.4, warmup_epochs=0.4)
    np.testing.assert_allclose(
        rates(config, [0, 1, 2, 3, 4]), [0.1, 0.2, 0.3, 0.4, 0.4], rtol=1e-6
    )


def test_cosine_ends_at_zero():
    config = OptimConfig(lr=0.4, warmup_epochs=2)
    found = rates(config, [20, 40, 60, 80, 99, 100, 130])
    wanted = 0.2 * (1 + np.cos(np.pi * np.array([0, 0.25, 0.5, 0.75, 79 / 80, 1, 1])))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_steps_fall_at_the_start_of_their_epochs():
    config = OptimConfig(lr=1.0, schedule="step", step_epochs=(2, 4.5), step_factor=0.1)
    np.testing.assert_allclose(
        rates(config, [0, 19, 20, 44, 45, 99]), [1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-6
    )
    config.step_epochs = ()
    assert rates(config, [0, 99]) == [1.0, 1.0]


def test_learning_rate_follows_the_batch_only_if_asked():
    config = OptimConfig(lr=0.02, schedule="step")
    assert rates(config, [0], batch_size=256) == pytest.approx([0.02])
    assert "not scaled" in optimizer.describe(config, 256)
    config.lr_batch_size = 64
    assert rates(config, [0], batch_size=256) == pytest.approx([0.08])
    assert optimizer.describe(config, 256) == (
        "learning rate 0.08 = 0.02 x batch 256 / 64"
    )


def test_errors():
    with pytest.raises(
        ValueError,
        match="schedule 'cosin'.*mean 'cosine'.*cosine, cosine_from_start, step",
    ):
        rates(OptimConfig(schedule="cosin"), [0])
    with pytest.raises(ValueError, match="warmup_epochs=10.0 is 100 steps, .* has 100"):
        rates(OptimConfig(warmup_epochs=10.0), [0])
    says = (
        "batch_size=64 is larger than the data's 16 clips.* has 1 steps: .*size=16 or"
    )
    with pytest.raises(ValueError, match=says):
        config = OptimConfig(warmup_epochs=4.0)
        schedule(config, batch_size=64, steps=1, steps_per_epoch=16 / 64)
    with pytest.raises(ValueError, match="optim.groups 'fc5'.*plain, tsm, tsm_fc5"):
        config = OptimConfig(groups="fc5")
        make_optimizer(config, KINDS, lambda step: 0.1, steps_per_epoch=1)


@pytest.mark.parametrize(("platform", "constrained"), [("cuda", True), ("cpu", False)])
def test_a_gpu_is_given_gradients_in_the_parameters_layout(platform, constrained):
    traced = jax.jit(optimizer.in_parameters_layout).trace(jnp.ones((1, 1, 4, 2)))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("LayoutConstraint" in text) == constrained
