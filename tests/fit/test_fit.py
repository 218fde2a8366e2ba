import dataclasses
import json
import math
import os
import runpy
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tests.support.commands import ROOT, failures
from vidshift.config import Config, DataConfig, ModelConfig, check
from vidshift.data.loading.loader import eval_batches, train_batches
from vidshift.data.sources.datasets import open_split
from vidshift.data.sources.motion_clips import OrderedMotion
from vidshift.data.sources.prepared import Prepared
from vidshift.data.views.view import View
from vidshift.description import model_arguments
from vidshift.fit import aot, sizing
from vidshift.kernels.analysis import chips, hlo
from vidshift.kernels.analysis.flops import flops

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
needs_v5e = pytest.mark.skipif(
    chips.missing("v5e") is not None, reason=str(chips.missing("v5e"))
)
needs_h100 = pytest.mark.skipif(
    chips.missing("h100") is not None, reason=str(chips.missing("h100"))
)


def tiny(temporal="tsm", **fields):
    return Config(
        model=ModelConfig(backbone="resnet_tiny", temporal=temporal, dropout=0.0),
        data=DataConfig(num_frames=8, resize=32, crop=32),
        **({"batch_size": 8, "eval_batch_size": 8} | fields),
    )


def measure(config, target, count, step="train", **options):
    mesh = Mesh(np.asarray(chips.describe_slice(target, count)), ("data",))
    network = model_arguments(config, num_classes=12)
    program = aot.PROGRAMS[step](config, network, mesh)
    return aot.measure(program, target, mesh, **options)


class TestFlops:
    def count(self, function, *shapes):
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        return flops(jax.make_jaxpr(function)(*arrays))

    def test_a_product(self):
        product = 2 * 7 * 4 * 6 * 5
        assert self.count(jnp.matmul, (7, 4, 5), (7, 5, 6)) == product
        assert self.count(lambda x: x + 1, (4, 5)) == 0

    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("groups", [1, 4])
    def test_a_convolution_and_its_gradients_as_xla_counts_them(self, stride, groups):
        def loss(x, w):
            y = jax.lax.conv_general_dilated(
                x,
                w,
                (stride, 1),
                ((3, 3), (1, 0)),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=groups,
            )
            return (y * y).sum()

        shapes = (2, 15, 8, 16), (7, 3, 16 // groups, 8)
        arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
        step = jax.value_and_grad(loss, argnums=(0, 1))
        counted = self.count(step, *shapes)
        by_xla = jax.jit(step).lower(*arrays).cost_analysis()["flops"]
        elementwise = by_xla - counted
        assert 0 <= elementwise < 0.01 * counted

    def test_by_hand(self):
        # Three taps over four places: the ends have two.
        def convolve(x, w):
            return jax.lax.conv(x, w, (1,), "SAME")

        assert self.count(convolve, (1, 1, 4), (1, 1, 3)) == 2 * (2 + 3 + 3 + 2)

    def test_loops_and_branches(self):
        def scanned(x, w):
            return jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)[0]

        def chosen(x, w):
            return jax.lax.cond(x[0, 0] > 0, lambda: x, lambda: x @ w)

        def searched(x, w):
            return jax.lax.while_loop(lambda x: x[0, 0] > 0, lambda x: x @ w, x)

        once = 2 * 4**3
        assert self.count(scanned, (4, 4), (4, 4)) == 5 * once
        assert self.count(chosen, (4, 4), (4, 4)) == once
        with pytest.raises(NotImplementedError, match="loop of unknown length"):
            self.count(searched, (4, 4), (4, 4))

    def test_of_all_devices(self, devices):
        spec = PartitionSpec("data")
        part = jax.shard_map(
            lambda x: x @ x.T, mesh=devices, in_specs=spec, out_specs=spec
        )
        assert self.count(part, (16, 3)) == 8 * 2 * 2 * 3 * 2


class TestHlo:
    TEXT = """HloModule m, x=1

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %s = f32[] add(%a, %b)
}

%body (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %r.1 = f32[8]{0} all-reduce(%p), replica_groups={}, to_apply=%add
}

%wrapped (q: f32[64]) -> f32[16] {
  %q = f32[64]{0} parameter(0)
  ROOT %r.2 = f32[16]{0} reduce-scatter(%q), dimensions={0}, to_apply=%add
}

ENTRY %main (x: f32[64], y: f32[64], w: f32[8]) -> f32[64] {
  %x = f32[64]{0} parameter(0)
  %y = f32[64]{0} parameter(1)
  %w = f32[8]{0:T(128)S(1)} parameter(2)
  %pair = (f32[64]{0}, f32[8]{0:T(128)S(1)}) all-reduce(%x, %w), to_apply=%add
  %begun = f32[64]{0} all-reduce-start(%y), to_apply=%add
  %done = f32[64]{0} all-reduce-done(%begun)
  %g = (f32[64]{0}, f32[256]{0}) all-gather-start(%done), dimensions={0}
  %h = f32[256]{0} all-gather-done(%g)
  %i = f32[256]{0} all-gather(%done), dimensions={0}
  %loop = f32[8]{0} while(%w), body=%body, x={"known_trip_count":{"n":"5"}}
  %s = ((f32[64]{0}), f32[16]{0}) async-start(%x), calls=%wrapped
  %k = f32[64]{0} custom-call(%x, %y, %w), custom_call_target="tpu_custom_call"
  ROOT %z = f32[64]{0} add(%x, %y)
}
"""

    LAYERS = """HloModule m, x=1

FileNames
1 "/somewhere/train.py"
2 "/somewhere/vidshift/shifts/gate.py"
3 "/elsewhere/flax/nnx/linear.py"

FunctionNames
1 "main"
2 "Gate.__call__"

FileLocations
1 {file_name_id=1 function_name_id=1 line=1 end_line=1 column=1 end_column=2}
2 {file_name_id=2 function_name_id=2 line=9 end_line=9 column=1 end_column=2}
3 {file_name_id=3 function_name_id=1 line=7 end_line=7 column=1 end_column=2}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}
3 {file_location_id=3 parent_frame_id=3}

%inner (p: f32[8,4]) -> f32[4,8] {
  %p = f32[8,4]{1,0} parameter(0)
  %n = f32[8,4]{1,0} negate(%p)
  ROOT %t = f32[4,8]{1,0} transpose(%n), dimensions={1,0}
}

ENTRY %main (x: f32[8,4]) -> f32[4,8] {
  %x = f32[8,4]{1,0} parameter(0)
  %a = f32[4,8]{1,0} fusion(%x), calls=%inner, metadata={op_name="a" stack_frame_id=3}
  %b = f32[4,8]{1,0} fusion(%a), calls=%inner, metadata={stack_frame_id=2}, x={"estimated_cycles":"7"}
  %c = f32[4,8]{1,0} add(%a, %b), metadata={stack_frame_id=1}
  ROOT %z = f32[4,8]{1,0} copy(%c)
}
"""

    def test_by_layer(self):
        array = 8 * 4 * 4
        rows = [tuple(row) for row in hlo.by_layer(self.LAYERS)]
        assert rows == [
            ("shifts/gate.py __call__", "fusion transpose", 4 * array, 2, 7),
            ("elsewhere", "add", 3 * array, 1, 0),
            ("elsewhere", "copy", 2 * array, 1, 0),
        ]
        assert sum(r[2] for r in rows) == hlo.program_bytes(self.LAYERS).size_bytes

    def test_collectives(self):
        assert hlo.collectives(self.TEXT) == {
            "all-reduce": (2 + 5, 64 * 4 + 128 * 4 + 64 * 4 + 5 * 8 * 4),
            "all-gather": (2, 2 * 256 * 4),
            "reduce-scatter": (1, 64 * 4),
        }

    def test_what_kernels_read_and_write_once_if_asked(self):
        without, with_kernels = (
            hlo.program_bytes(self.TEXT, kernels=k) for k in (False, True)
        )
        assert without.kernels == with_kernels.kernels == 1
        # %w is in VMEM; %x and %y are two arrays of one shape.
        assert with_kernels.size_bytes - without.size_bytes == 3 * 64 * 4


class TestLargestBatch:
    CAPACITY = 1000

    def search(self, size_of, *, first, unit=4, says=True):
        self.tried = []

        def measure_at(batch):
            self.tried.append(batch)
            fits = size_of(batch) <= self.CAPACITY
            total = size_of(batch) if fits or says else None
            sizes = {"total_bytes": total, "capacity_bytes": self.CAPACITY}
            return {"batch": batch, "fits": fits} | sizes

        row = sizing.largest_batch(measure_at, measure_at(first), unit=unit)
        assert row is None or (row["fits"] and row["batch"] in self.tried)
        assert len(self.tried) <= 1 + sizing.TRIES
        assert len(set(self.tried)) == len(self.tried)
        assert all(b > 0 and b % unit == 0 for b in self.tried)
        return row and row["batch"]

    @pytest.mark.parametrize("first", [4, 8, 48, 96, 400])
    @pytest.mark.parametrize("says", [True, False])
    def test_of_a_straight_line(self, first, says):
        best = self.search(lambda b: 30 + 10 * b, first=first, says=says)
        if says or first <= 96:
            assert best == 96
        else:  # four times too large, and no word of by how much: halves
            assert best >= 48

    @pytest.mark.parametrize("says", [True, False])
    def test_a_line_that_bends(self, says):
        # Above 80 clips the compiler needs 150 more.
        best = self.search(lambda b: 30 + 10 * b + 150 * (b > 80), first=40, says=says)
        assert best == 80

    def test_nothing_fits(self):
        assert self.search(lambda b: 2000 + b, first=64) is None
        assert self.search(lambda b: 2000 + b, first=4, says=False) is None

    def test_memory_that_hardly_grows(self):
        assert self.search(lambda b: 10, first=4) > 64


# Each kind of network, and each data set.
@pytest.mark.exhaustive(
    but=(
        "charades_*",
        "diving48_*",
        "epic_kitchens100_gsf_resnet50",
        "folder",
        "hmdb51_tsm_resnet50",
        "imagenet_*",
        "jester_tsm_online_resnet50",
        "kinetics_slowfast_4x16",
        "moments_*",
        "something_v1_gsf_bn_inception",
        "something_v1_tsm_online_mobilenet_v2",
        "something_v1_tsm_resnet50",
        "something_v1_vsn_flow",
        "something_v2_gsf_online_resnet50",
        "something_v2_rubiksnet_aq",
        "something_v2_rubiksnet_online",
        "tiny*",
        "ucf101_rubiksnet",
    )
)
@pytest.mark.slow(but=("something_v1_tsm_resnet50", "tiny", "tiny_a3d"))
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_is_complete(path):
    config = runpy.run_path(path)["get_config"]()
    check(config)
    classes = sizing.known_classes() | {"folder": 2}  # whatever the user's folder has
    network = model_arguments(config, num_classes=classes[config.data.name])
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("data",))
    program = aot.train_program(config, network, mesh)
    assert program.clips == config.batch_size


@pytest.mark.slow
def test_batches_are_those_of_the_loader(data_dir, devices):
    data_dir = str(data_dir)
    options = OrderedMotion(side=16, frames=8, train_clips=12, test_clips=12)
    split = open_split("ordered_motion", "train", data_dir=data_dir, options=options)
    config = tiny(batch_size=16, eval_batch_size=16, protocol="2x1")
    config.data.resize = config.data.crop = 16
    network = model_arguments(config, num_classes=len(split.classes))
    view = View(8, 16, 16)

    def shapes(rows):
        return {name: (a.shape, a.dtype) for name, a in rows.items()}

    with train_batches(split, view, batch_size=16, seed=0) as batches:
        rows = next(batches) | {"stop": np.zeros(16, bool)}
    program = aot.train_program(config, network, devices)
    assert shapes(program.arguments[1]) == shapes(rows)
    with eval_batches(split, view, clips=2, batch_size=16) as batches:
        rows = next(batches)
    rows.pop("id")
    program = aot.eval_program(config, network, devices)
    assert shapes(program.arguments[2]) == shapes(rows)
    assert program.clips == 32


@needs_v5e
@pytest.mark.slow
def test_evaluation_on_several_chips():
    row = measure(tiny("tsn"), "v5e", 4, step="eval")
    # The logits go to all; so many numbers, in tiles of 8 x 128.
    assert row["collectives"]["all-gather"] == {"count": 1, "size_bytes": 8 * 128 * 4}
    assert row["fits"] and 0 < row["total_bytes"] < 100e6
    assert row["moved_bytes"] > 0 and row["flops"] > 0


@pytest.mark.slow
@needs_v5e
def test_training_on_several_chips():
    config, mesh = tiny("tsm"), Mesh(np.asarray(jax.devices()[:1]), ("data",))
    row = measure(config, "v5e", 4)
    assert set(row["collectives"]) == {"all-reduce"}
    network = model_arguments(config, num_classes=12)
    params = aot.train_program(config, network, mesh).arguments[0].params
    gradients = sum(math.prod(p.shape) * 4 for p in params.values())
    # More than that: small arrays are padded to the tile.
    assert gradients < row["collectives"]["all-reduce"]["size_bytes"] < 4 * gradients
    assert row["fits"] and gradients < row["total_bytes"] < 100e6
    assert row["moved_bytes"] > 0 and row["clips_per_second"] > 0
    assert row["step_seconds"] == max(row["memory_seconds"], row["compute_seconds"])
    # A quarter of the step: forward and two gradients, of the first convolution one.
    program = aot.eval_program(config, network, mesh)
    forward = flops(program.step.trace(*program.arguments).jaxpr)
    assert 2.8 < 4 * row["flops"] / forward < 3


@needs_v5e
def test_what_does_not_fit_is_a_row():
    row = measure(tiny("tsn", batch_size=2_000_000), "v5e", 1)
    assert not row["fits"] and row["error"].startswith("RESOURCE_EXHAUSTED")
    assert row["total_bytes"] > 10 * row["capacity_bytes"]


@pytest.fixture
def compiled(monkeypatch):
    """Programs that `report` would have compiled, all of them the same size a clip."""
    programs = []
    monkeypatch.setattr(
        chips, "describe_slice", lambda target, count: jax.devices()[:count]
    )

    def measured(program, target, mesh, *, by_layer):
        programs.append(program)
        total = 10 + 3 * program.clips
        row = {field: 1.0 for _, _, field, *_ in sizing.COLUMNS if field != "limit"}
        if by_layer:
            layer = hlo.LayerTraffic("shifts/gate.py mix", "fusion", 2_500_000, 4, 7000)
            row["layers"] = [layer._asdict()]
        return row | {
            "total_bytes": total,
            "capacity_bytes": 100,
            "fits": total <= 100,
            "error": None if total <= 100 else "RESOURCE_EXHAUSTED: too much",
            "memory_seconds": 2.0,
            "compute_seconds": 1.0,
            "clips_per_second": 100.0,
            "collectives": {"all-reduce": {"count": 3, "size_bytes": 5e6}},
            "notes": [],
            "compile_seconds": 1.0,
        }

    monkeypatch.setattr(aot, "measure", measured)
    return programs


class TestReport:
    def test_rows(self, compiled, capsys):
        rows = sizing.report(tiny(), "v5e", count=4, as_json=True)
        lines = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
        assert lines == rows
        assert [
            (r["step"], r["temporal"], r["batch"], r["suggested"]) for r in rows
        ] == [
            ("train", "tsm", 8, False),
            ("train", "tsn", 8, False),
            ("eval", "tsm", 8, False),
            ("eval", "tsn", 8, False),
            ("train", "tsm", 28, True),
        ]
        assert rows[0]["clips_per_second_per_chip"] == 25.0
        assert rows[0]["limit"] == "memory"

    def test_a_table(self, compiled, capsys):
        sizing.report(tiny(batch_size=64), "v5e", suggest=False)
        out = capsys.readouterr().out
        assert "resnet_tiny, 12 classes, 8 frames of 32 x 32, float32" in out
        assert "3 all-reduce of 5.0 MB" in out
        assert "train tsm            64 NO " in out and "too much" in out
        assert len(out.splitlines()) == 7
        sizing.report(tiny(), "v5e", suggest=False, by_layer=True)
        layers = "2.50 MB     4 launches         7 kcycles  fusion"
        assert capsys.readouterr().out.count(layers) == 4

    def test_tsn_has_nothing_beside_it(self, compiled):
        rows = sizing.report(tiny("tsn"), "v5e", suggest=False)
        assert [r["step"] for r in rows] == ["train", "eval"]

    @pytest.mark.parametrize(
        ("fields", "options", "message"),
        [
            ({"batch_size": 0}, {}, "batch_size must be above 0"),
            ({"protocol": "3x3"}, {}, "10x3"),
            ({"data": DataConfig(name="mine")}, {}, "kinetics400.*--num-classes"),
            ({"model": ModelConfig(temporal="tms")}, {}, "tsm"),
        ],
    )
    def test_bad_input(self, compiled, fields, options, message):
        config = dataclasses.replace(tiny(), **fields)
        with pytest.raises(ValueError, match=message):
            sizing.report(config, "v5e", **options)
        assert not compiled

    def test_a_batch_that_does_not_divide_is_the_next_one_and_said(
        self, compiled, capsys
    ):
        config = tiny("tsn", batch_size=6, eval_batch_size=9)
        sizing.report(config, "v5e", count=4, suggest=False)
        train, evaluation = (p.arguments[-1]["label"].size for p in compiled)
        assert (train, evaluation) == (8, 12)
        said = capsys.readouterr().err
        assert "batch_size=6 does not divide by 4 chips" in said
        assert "--config.eval_batch_size=12" in said

    def test_classes_can_be_given(self, compiled):
        config = tiny()
        config.data.name = "mine"
        sizing.report(config, "v5e", classes=7, suggest=False)
        assert compiled[0].arguments[0].params["fc.bias"].shape == (7,)

    def test_slices(self):
        with pytest.raises(
            ValueError, match="chips=3: .* 1, 4, 8, 16, 32, 64, 128, 256"
        ):
            chips.describe_slice("v6e", 3)
        with pytest.raises(ValueError, match="chips=16: h100 .* 1, 2, 4, 8 chips"):
            chips.describe_slice("h100", 16)

    def test_says_what_has_to_be_installed(self, monkeypatch):
        monkeypatch.setattr(chips.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(RuntimeError, match="vidshift\\[targets\\]"):
            sizing.report(tiny(), "v5e")


@pytest.mark.slow
def test_the_command_refuses_in_one_line():
    wrong = {
        "configs/no.py: no such file": ["--config", "configs/no.py", "--target=v5e"],
        "one of: v5e, v6e, h100": ["--config=configs/tiny.py", "--target=v7"],
        "'batch_size'": ["--config=tiny", "--target=v5e", "--config.batchsize=8"],
        "--target": ["--config=configs/tiny.py"],
        "required: --config": ["--target=v5e"],
    }
    said = failures(
        "-m", [["vidshift.fit", *arguments] for arguments in wrong.values()]
    )
    for message, (_, err) in zip(wrong, said, strict=True):
        assert message in err and "Traceback" not in err


@pytest.mark.slow
@needs_v5e
def test_the_command():
    command = [sys.executable, "-m", "vidshift.fit"]
    command += ["--config", "configs/something_v2_tsm_resnet50.py", "--target", "v5e"]
    command += ["--chips", "256", "--no-suggest", "--json", "--config.data.crop=32"]
    command += ["--config.model.backbone=resnet_tiny"]
    command += ["--config.model.temporal=tsn"]  # has nothing beside it
    command += ["--config.batch_size=256", "--config.eval_batch_size=256"]
    # Without the tests' fake devices and platform: the command arranges its own.
    but = ("XLA_FLAGS", "JAX_PLATFORMS")
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k not in but},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["step"], r["temporal"]) for r in rows] == [
        ("train", "tsn"),
        ("eval", "tsn"),
    ]
    for row in rows:
        assert row["fits"] and row["chips"] == 256 and row["moved_bytes"] > 0
    assert set(rows[0]["collectives"]) == {"all-reduce"}
    assert "compiling the eval step of tsn for 256 v5e" in done.stderr


@needs_v5e
def test_the_suggestion_has_been_compiled(monkeypatch):
    def one_more(config, network, mesh):
        # 16 KiB a clip: a network would take minutes to compile at such batches.
        rows, sharding = config.batch_size, NamedSharding(mesh, PartitionSpec("data"))
        batch = {
            name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
            for name, shape in {"label": (rows,), "video": (rows, 2048)}.items()
        }
        step = jax.jit(lambda batch: batch["video"] + 1)
        return aot.ChipProgram(step, (batch,), "float32", rows, 0)

    monkeypatch.setattr(aot, "PROGRAMS", {"train": one_more})
    for first in 1000, 2_000_000:  # from either side
        rows = sizing.report(tiny("tsn", batch_size=first), "v5e")
        assert [r["fits"] for r in rows] == [first == 1000, True]
        clips = chips.CHIPS["v5e"].memory_bytes / 2**14
        assert rows[-1]["suggested"] and 0.99 < rows[-1]["batch"] / clips < 1


@pytest.mark.slow
@needs_h100
def test_h100():
    row = measure(tiny("tsn"), "h100", 8, by_layer=True)
    assert row["fits"] and row["moved_bytes"] > 0
    layers = {(layer["layer"], layer["kind"]) for layer in row["layers"]}
    assert ("layers/conv.py _by_xla", "__cudnn$convForward") in layers
    assert set(row["collectives"]) == {"all-reduce"}


def test_other_frames_than_rgb_are_refused():
    config = tiny()
    config.data.name, config.data.options = "ucf101", Prepared(modality="flow")
    with pytest.raises(ValueError, match="options.modality=flow"):
        sizing.report(config, target="v5e", count=1)
