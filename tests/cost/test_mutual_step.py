"""The expected cost of A3D's training step, against counts, draws and the paper."""

import collections
import json

import pytest

from vidshift import cli
from vidshift.adaptive import SubNetwork
from vidshift.adaptive.sampling import sampling
from vidshift.config import AdaptiveConfig, Config, DataConfig
from vidshift.cost import mutual_step
from vidshift.cost.published import ROWS
from vidshift.recipes import slow

MODEL = {
    "backbone": "slow_tiny",
    "temporal": "tsn",
    "num_classes": 4,
    "num_frames": 4,
    "dtype": "float32",
}


@pytest.mark.slow
def test_a_step_costs_what_its_networks_do():
    adaptive = AdaptiveConfig(
        mode="mutual", widths=(0.5, 1.0), sides=(16,), frames=(2, 4)
    )
    config = Config(adaptive=adaptive)
    config.data = DataConfig(num_frames=4, resize=16, crop=16)
    found = mutual_step.step_cost(config, MODEL)
    count = lambda one: mutual_step.count_model(one.of(MODEL), 16).macs / 1e9
    assert found.full == pytest.approx(count(SubNetwork(1.0, 16, 4)))
    thin = [count(SubNetwork(0.5, 16, frames)) for frames in (2, 4)]
    assert found.narrowest == pytest.approx(sum(thin) / 2)
    assert found.random == pytest.approx(count(SubNetwork(1.0, 16, 2)))
    total = found.full + found.narrowest + found.random
    assert found.ratio == pytest.approx(total / found.full)
    assert found.equation_2 == pytest.approx(1 + 0.25 * 0.75 + 0.5)
    adaptive.width_draw = "uniform"
    both = mutual_step.step_cost(config, MODEL).random
    assert both == pytest.approx((found.full + found.random) / 2)
    adaptive.mode = "off"
    with pytest.raises(ValueError, match="mode must be mutual.*got off"):
        mutual_step.step_cost(config, MODEL)


def test_shares_are_those_of_the_draws():
    drawn_from = sampling(
        (0.63, 0.73, 1.0), (142, 224), (8,), full=None, max_programs=99, draw="uniform"
    )
    shares = mutual_step.shares(drawn_from)
    assert sum(shares.values()) == pytest.approx(1)
    draws = [drawn_from.draw(0, step, 1)[1].program for step in range(4000)]
    for one, number in collections.Counter(draws).items():
        assert number / len(draws) == pytest.approx(shares[one], abs=0.02)


def test_the_papers_cost_of_training():
    """Table 2: 87.5 GFLOPs expected, 1.6 times 54.5, its whole network at 256 pixels."""
    (full,) = {row.macs for row in ROWS if row.source == "A3D Table 1, 5, 6, 9, 10"}
    assert full == "54.5"
    shown = [round(float(full) * share, 1) for share in (0.1, 0.3, 0.5, 0.7, 0.9)]
    # 5.45, 16.35, 27.25, 38.15 and 49.05: half of a unit is rounded up there.
    assert shown == pytest.approx([5.5, 16.4, 27.3, 38.2, 49.1], abs=0.11)
    adaptive = slow.a3d().adaptive
    drawn_from = sampling(
        adaptive.widths,
        adaptive.sides,
        adaptive.frames,
        full=SubNetwork(1.0, 224, 8),
        max_programs=adaptive.max_programs,
        draw=adaptive.width_draw,
    )
    random = mutual_step.relative_random(drawn_from, SubNetwork(1.0, 224, 8))
    # E[width²] E[side²] E[frames]: 0.6756 x 0.6778 x 0.6667.
    assert random == pytest.approx(0.3053, abs=1e-4)
    # Two random sub-networks; its text has one and the narrowest.
    assert 1 + 2 * random == pytest.approx(87.5 / 54.5, rel=0.005)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_the_command_prints_it(capsys):
    flags = ["--config=tiny_a3d", "--config.adaptive.widths=(0.5,1.0)"]
    flags += ["--config.adaptive.frames=(8,)"]
    assert cli.run(["budgets", *flags]) == 0
    printed = capsys.readouterr().out
    assert "| full network, 32² x 8 | 1 | 0.06 | 1.000 |" in printed
    assert cli.run(["budgets", *flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ratio"] > 1.2
    for wrong, message in (
        ([], "give --run, or --config"),
        (["--config=tiny_a3d", "--run=x"], "--run or --config, not both"),
        (["--config=tiny"], "mode must be mutual"),
    ):
        assert cli.run(["budgets", *wrong]) == 2
        assert message in capsys.readouterr().err
