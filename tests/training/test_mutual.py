"""A3D's step: what is drawn, what its gradient is, and that nothing compiles again."""

import contextlib
import functools

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh

from tests.support.networks import random_network
from tests.support.train_steps import clips_and_labels, noise
from vidshift import create, train_view
from vidshift.adaptive import SubNetwork, narrow
from vidshift.adaptive.distill import distillation
from vidshift.adaptive.sampling import (
    OTHER_PROGRAMS,
    WIDTHS_APART,
    Drawn,
    grid,
    sampling,
)
from vidshift.config import AdaptiveConfig, Config, DataConfig, check
from vidshift.devices import mesh
from vidshift.nets.weights import split
from vidshift.tasks.losses import cross_entropy
from vidshift.training.mutual import FULL, UPDATE, MutualStep, full_network
from vidshift.training.optimizer import make_optimizer, parameter_kinds
from vidshift.training.state import new_state

MODEL = {
    "backbone": "resnet_tiny",
    "temporal": "tsm",
    "num_classes": 4,
    "num_frames": 4,
    "dtype": "float32",
}
SIDE = 16
COMPILED = "/jax/core/compile/backend_compile_duration"


def experiment(**adaptive) -> Config:
    adaptive = {
        "mode": "mutual",
        "widths": (0.5, 1.0),
        "sides": (SIDE,),
        "frames": (2, 4),
    } | adaptive
    config = Config(adaptive=AdaptiveConfig(**adaptive), seed=7)
    config.data = DataConfig(num_frames=4, resize=SIDE, crop=SIDE)
    config.optim.momentum = config.optim.weight_decay = 0.0
    config.optim.clip_norm = None
    return config


def rows(clips=8, seed=5) -> dict[str, np.ndarray]:
    return noise(clips, 4, SIDE, seed=seed)


class Run:
    """A mutual step, and a state for it."""

    def __init__(self, config: Config, devices: int = 1, said=None, arguments=MODEL):
        self.mesh = Mesh(np.asarray(jax.devices()[:devices]), ("data",))
        model = random_network(lambda: create(**arguments))
        tx = make_optimizer(
            config.optim, parameter_kinds(model), lambda step: 1.0, steps_per_epoch=1
        )
        _, self.params, self.stats = split(model)
        state = new_state(self.params, self.stats, tx, ema=False)
        self.state = mesh.replicate(self.mesh, jax.tree.map(np.array, state))
        self.step = MutualStep(
            arguments,
            config,
            tx,
            lambda step: 1.0,
            clips_and_labels,
            temperature=lambda step: 1.0,
            mesh=self.mesh,
            say=print if said is None else said.append,
        )

    def __call__(self, number: int, batch):
        self.state, metrics = self.step(
            number, self.state, mesh.shard_batch(self.mesh, batch)
        )
        return metrics


@contextlib.contextmanager
def counted(event):
    found = []

    def listen(name, *_, **__):
        if name == event:
            found.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="module")
def run():
    said = []
    found = Run(experiment(), said=said)
    found.said = said
    return found


@pytest.mark.slow
def test_a_step_learns_from_labels_and_from_the_full_networks_answers(run):
    batch = rows()
    before = jax.tree.map(np.array, run.state.params)
    stats = jax.tree.map(np.array, run.state.stats)
    number = int(run.state.step)
    metrics = run(number, batch)

    full = split(train_view(nnx.eval_shape(lambda: create(**MODEL))))[0]
    drawn = [SubNetwork.parse(name) for name in metrics["subnetworks"]]
    assert len(drawn) == 2 and drawn[0].width == 0.5
    thin = [
        split(train_view(nnx.eval_shape(lambda one=one: create(**one.of(MODEL)))))
        for one in drawn
    ]

    @jax.jit
    def loss(params):
        video = jnp.asarray(batch["video"])
        logits = full.merge(params, stats)(video)
        first = cross_entropy(logits, jnp.asarray(batch["label"]), label_smoothing=0.0)
        kl = 0
        wanted = jax.nn.softmax(jax.lax.stop_gradient(logits))
        for one, (skeleton, like, stats_like) in zip(drawn, thin):
            taken = [i * 4 // one.frames for i in range(one.frames)]
            found = skeleton.merge(narrow(params, like), narrow(stats, stats_like))
            found.resolution = type(found.resolution)()
            answer = found(video[:, np.array(taken)])
            kl += (
                (wanted * (jnp.log(wanted) - jax.nn.log_softmax(answer))).sum(-1)
            ).mean()
        return first + kl, (first, kl)

    gradient, (first, kl) = jax.jit(jax.grad(loss, has_aux=True))(before)
    np.testing.assert_allclose(metrics["loss"], first, rtol=1e-5)
    np.testing.assert_allclose(metrics["distillation"], kl, rtol=1e-4)
    for name, old in before.items():
        np.testing.assert_allclose(
            run.state.params[name], old - gradient[name], rtol=1e-3, atol=2e-5
        )


@pytest.mark.slow
def test_a_width_between_two_learns_what_its_slices_do():
    """The masked program's gradient is that of the narrow network's own program."""
    said = []
    run = Run(experiment(width_draw="uniform"), said=said)
    batch = mesh.shard_batch(run.mesh, rows())
    run.step.compile(run.state, batch)
    assert "compiled 6 programs, 4 of them sub-networks" in said[-1]
    one = Drawn(SubNetwork(0.7, SIDE, 2), SubNetwork(1.0, SIDE, 2))
    assert (
        run.step.kept(one).tolist()
        != run.step.kept(one._replace(subnetwork=one.program)).tolist()
    )
    weights = run.state.params, run.state.stats, run.state.step
    grads, _, seen, shown = run.step.programs[FULL](*weights, batch)
    arguments = shown, grads, seen
    place = jnp.int32(1)
    sliced, wanted = jax.jit(run.step.imitate(one.subnetwork))(
        *weights, place, None, *arguments
    )
    full = run.step.imitate(one.program)
    whole, _ = jax.jit(full)(*weights, place, None, *arguments)
    masked, found = run.step.programs[one.program](
        *weights, place, run.step.kept(one), *arguments
    )
    np.testing.assert_allclose(found["distillation"], wanted["distillation"], rtol=1e-4)
    apart = lambda a, b: sum(float(abs(a[name] - b[name]).max()) for name in a)
    assert apart(masked, sliced) < 1e-3 * apart(whole, sliced)


@pytest.mark.slow
def test_nothing_compiles_after_the_first_step(run):
    run(1, rows())
    with counted(COMPILED) as compiled:
        names = {
            tuple(run(step, rows(seed=step))["subnetworks"]) for step in range(2, 9)
        }
    assert len(names) > 1  # other pairs were drawn
    assert not compiled
    # Three sub-networks, the full one, and the update: no pairs.
    assert len(run.step.programs) == 3 + OTHER_PROGRAMS
    assert "compiled 5 programs, 3 of them sub-networks" in run.said[-1]
    with pytest.raises(TypeError):  # another batch size is no reason to compile
        run(9, rows(clips=4))


@pytest.mark.slow
def test_two_devices_compute_what_one_does(run):
    two = Run(experiment(), devices=2)
    run.state = mesh.replicate(run.mesh, jax.tree.map(np.array, two.state))
    found = []
    for one in (run, two):
        metrics = one(3, rows())
        found.append((metrics, jax.tree.map(np.array, one.state.params)))
    for name in ("loss", "distillation"):
        np.testing.assert_allclose(found[0][0][name], found[1][0][name], rtol=1e-4)
    assert found[0][0]["subnetworks"] == found[1][0]["subnetworks"]
    for name, array in found[0][1].items():
        np.testing.assert_allclose(array, found[1][1][name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_programs_come_from_the_persistent_cache():
    """The second run's do; the tests' own cache may have the first run's too."""
    said = []
    for _ in range(2):
        jax.clear_caches()
        Run(experiment(mode="multi_resolution", frames=(4,)), said=said)(0, rows())
    assert said[-1].startswith("compiled 2 programs, ")
    assert "; 2 came from" in said[-1]


def test_multi_resolution_is_the_full_network_alone():
    config = experiment(mode="multi_resolution", sides=(8, SIDE), frames=(2, 4))
    step = Run(config).step
    names = {step.draw(number)[0] for number in range(40)}
    assert names == set(grid((1.0,), (8, SIDE), (2, 4)))
    assert all(step.draw(number)[1] == [] for number in range(5))


PAPER = {
    "[0.016, 1]": ((0.5, 0.6, 0.7, 0.8, 0.9, 1.0), (128, 160, 192, 224), (2, 4, 6, 8)),
    "[0.06, 1]": ((0.63, 0.73, 0.83, 0.93, 1.0), (142, 178, 224), (3, 5, 8)),
    "SlowFast": ((0.63, 0.73, 0.83, 0.93, 1.0), (142, 178, 224), (2, 3, 4)),
    "without time": ((0.5, 0.6, 0.7, 0.8, 0.9, 1.0), (112, 149, 187, 224), (8,)),
}


# Programs of random sub-networks: widths above the narrowest x sides x frames.
RANDOM = {"[0.016, 1]": 80, "[0.06, 1]": 36, "SlowFast": 36, "without time": 20}


@pytest.mark.parametrize("name", PAPER)
def test_every_combination_is_drawn(name):
    full = SubNetwork(1.0, 224, max(PAPER[name][2]))
    found = sampling(*PAPER[name], full=full, max_programs=128)
    wanted = set(grid(*PAPER[name])) - {full}
    assert len(wanted) == RANDOM[name] + len(found.narrowest) - 1
    drawn = {one for n in range(2000) for one, _ in found.draw(0, n, 1)}
    assert drawn == wanted == set(found.all())


@pytest.mark.parametrize("name", PAPER)
def test_widths_between_two_of_the_grid_are_run_by_the_wider(name):
    widths, _, frames = PAPER[name]
    full = SubNetwork(1.0, 224, max(frames))
    found = sampling(*PAPER[name], full=full, max_programs=128, draw="uniform")
    assert len(found.random) == RANDOM[name]
    draws = [found.draw(0, n, 1) for n in range(4000)]
    assert {first.program for first, _ in draws} == set(found.narrowest)
    assert all(first.subnetwork == first.program for first, _ in draws)
    others = [other for _, other in draws]
    assert {other.program for other in others} == set(found.random)
    for (width, *resolution), (wide, *same) in others:
        assert resolution == same
        assert width <= wide == min(w for w in widths[1:] if w >= width)
    drawn = np.array([other.subnetwork.width for other in others])
    assert drawn.mean() == pytest.approx((widths[0] + 1) / 2, abs=0.01)
    assert drawn.std() == pytest.approx((1 - widths[0]) / 12**0.5, abs=0.005)
    # As many as make_divisible tells apart.
    assert len(set(drawn)) == pytest.approx((1 - widths[0]) * WIDTHS_APART, abs=2)


def test_draws_depend_on_seed_and_step_alone():
    for draw in ("grid", "uniform"):
        found = sampling(*PAPER["[0.016, 1]"], full=None, max_programs=128, draw=draw)
        draws = [tuple(found.draw(3, step, 2)) for step in range(300)]
        assert draws == [tuple(found.draw(3, step, 2)) for step in range(300)]
        assert draws != [tuple(found.draw(4, step, 2)) for step in range(300)]
        for first, *others in draws:
            assert first.program.width == 0.5 and len(set(others)) == 2


def test_sampling_refuses():
    with pytest.raises(ValueError, match="max_programs=97 is too few: 6 widths .*98"):
        sampling(*PAPER["[0.016, 1]"], full=None, max_programs=97)
    with pytest.raises(ValueError, match="must not be empty"):
        sampling((), (1,), (1,), full=None, max_programs=20)
    with pytest.raises(ValueError, match="too few: .* need 11"):
        sampling((1.0,), (1, 2, 3), (1, 2, 3), full=None, max_programs=10)
    with pytest.raises(ValueError, match="full network alone.*add a width below 1"):
        sampling((1.0,), (1,), (1,), full=SubNetwork(1.0, 1, 1), max_programs=9)
    with pytest.raises(ValueError, match="width_draw must be one of .*'all'"):
        sampling((0.5, 1.0), (1,), (1,), full=None, max_programs=9, draw="all")
    with pytest.raises(ValueError, match="uniform draws between"):
        sampling((0.5,), (1,), (1,), full=None, max_programs=9, draw="uniform")
    alone = sampling((0.5, 1.0), (1,), (1,), full=SubNetwork(1.0, 1, 1), max_programs=3)
    assert alone.all() == (SubNetwork(0.5, 1, 1),)


@pytest.mark.slow
def test_a_run_refuses():
    for changes, message in (
        ({"random_networks": 2}, "random_networks=2, but there are 1"),
        ({"sides": (SIDE, 2 * SIDE)}, "adaptive.sides=.* beyond the full network's 16"),
        ({"frames": (4, 8)}, "adaptive.frames=.* beyond the full network's 4"),
        ({"widths": (0.5, 1.5)}, "width must be in"),
    ):
        with pytest.raises(ValueError, match=message):
            Run(experiment(**changes))
    with pytest.raises(ValueError, match="vsn cannot be slimmed"):
        Run(experiment(), arguments=MODEL | {"temporal": "vsn"})


@pytest.mark.slow
def test_full_network_of_slowfast_counts_its_slow_frames():
    model = MODEL | {"backbone": "slowfast_4x16_r50", "temporal": "tsn"}
    assert full_network(model | {"num_frames": 32}, 224) == (1.0, 224, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adaptive.mode": "both"}, "adaptive.mode must be one of"),
        ({"adaptive.width_draw": "all"}, "adaptive.width_draw must be one of"),
        ({"optim.accumulate": 2}, "does not go with optim.accumulate"),
        ({"model.width": 0.5}, "model.width is one sub-network's"),
        ({"model.frames": 2}, "model.frames is one sub-network's"),
        ({"adaptive.temperature": 0}, "adaptive.temperature must be above 0"),
    ],
)
def test_config_refuses(changes, message):
    config = experiment()
    check(config)
    for field, value in changes.items():
        *way, name = field.split(".")
        setattr(functools.reduce(getattr, way, config), name, value)
    with pytest.raises(ValueError, match=message):
        check(config)


def test_distillation_by_hand():
    teacher = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    student = jnp.log(jnp.array([[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]]))
    # KL of the first clip: .5 ln 2 - .25 ln 2; of the second 0.
    wanted = 0.25 * np.log(2) / 2
    np.testing.assert_allclose(distillation(teacher, student), wanted, rtol=1e-5)
    found = jax.grad(distillation, (0, 1))(teacher, student)
    assert not found[0].any()
    np.testing.assert_allclose(found[1][0], [-0.125, 0.125, 0], atol=1e-6)
    # A softer softmax, whose gradient keeps its size.
    soft = distillation(2 * teacher, 2 * student, temperature=2.0)
    np.testing.assert_allclose(soft, 4 * wanted, rtol=1e-5)


@pytest.mark.slow
def test_a_mutual_step_costs_at_most_1_7_plain_ones():
    """In FLOPs that XLA counts, the mean over draws; the paper has 1.5 to 1.65 (4.1).

    Counted as traced, and compiled where a step always has it.
    """
    model = MODEL | {"backbone": "slow_tiny", "temporal": "tsn", "num_frames": 8}
    # The ends of the paper's [0.06, 1], and a width between them.
    config = experiment(widths=(0.63, 0.83, 1.0), sides=(20, 32), frames=(3, 8))
    config.data = DataConfig(num_frames=8, resize=32, crop=32)
    run = Run(config, arguments=model)
    batch = rows(clips=4) | {"video": np.zeros((4, 8, 32, 32, 3), np.float32)}
    lowered = run.step.lower(run.state, mesh.shard_batch(run.mesh, batch))
    flops = {name: p.cost_analysis()["flops"] for name, p in lowered.items()}
    mean = lambda names: np.mean([flops[name] for name in names])
    plain = flops[FULL] + flops[UPDATE]
    drawn = run.step.sampling
    mutual = plain + mean(drawn.narrowest) + mean(drawn.random)
    assert 1.3 < mutual / plain < 1.7, mutual / plain
    for name in (FULL, drawn.narrowest[0]):
        compiled = lowered[name].compile().cost_analysis()["flops"]
        assert compiled == pytest.approx(flops[name], rel=0.1)
