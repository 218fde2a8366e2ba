import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from tests.support.files import ROOT
from vidshift import cli
from vidshift.kernels import targets
from vidshift.kernels.analysis import cases, chips, hlo, traffic
from vidshift.kernels.analysis.shapes import SHAPES

FLOAT = 4  # bytes
# What a kernel may move over the fewest possible bytes: its halo, its weights.
WORST_FORWARD, WORST_TOGETHER = 1.15, 1.3
# Of the shift by rows on a GPU words at the ends of a block have a neighbour in another
# program, which reads it at about the same time: the L2 cache has it.
WORST_BY_ROWS = 1.2
COPY = "(f32[16,72]{1,0:T(8,128)S(1)}, f32[16,72]{1,0:T(8,128)}, u32[]{:S(2)})"


def run(*arguments):
    # Without the tests' fake devices and platform: the command arranges its own.
    environment = {
        k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")
    }
    return subprocess.run(
        [sys.executable, "-m", "kernels.targets", *arguments],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )


def needs(target):
    why = chips.missing(target)
    return pytest.mark.skipif(why is not None, reason=str(why))


def scaled(x, *, grid, block, index_map, weight_map=None):
    """`x * w`, w one `[8, 128]` block of three, in blocks."""
    weight_map = weight_map or (lambda *_: (0, 0))
    w = jnp.ones((24, 128), x.dtype)

    def kernel(w_ref, x_ref, y_ref):
        y_ref[...] = x_ref[...]

    return pl.pallas_call(
        kernel,
        grid=grid,
        in_specs=[pl.BlockSpec((8, 128), weight_map), pl.BlockSpec(block, index_map)],
        out_specs=pl.BlockSpec(block, index_map),
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
    )(w, x)


class TestPallasBytes:
    TILE = 8 * 128 * FLOAT

    def count(self, shape, **options):
        x = jax.ShapeDtypeStruct(shape, jnp.float32)
        return traffic.pallas_bytes(lambda x: scaled(x, **options), x)

    @pytest.mark.parametrize(
        ("weight_map", "fetches"),
        [
            (lambda i, j: (0, 0), 1),
            (lambda i, j: (i, 0), 2),
            (lambda i, j: (j, 0), 6),
            (lambda i, j: (i * j, 0), 3),  # 0 0 0 0 1 2
        ],
    )
    def test_fetches_follow_the_grids_order(self, weight_map, fetches):
        moved = self.count(
            (16, 384),
            grid=(2, 3),
            block=(8, 128),
            index_map=lambda i, j: (i, j),
            weight_map=weight_map,
        )
        assert moved == (6 + 6 + fetches) * self.TILE

    def test_pads_a_block_to_the_tile(self):
        # 5 rows take 8 sublanes and 72 channels 128 lanes.
        moved = self.count(
            (4, 5, 72), grid=(4,), block=(1, 5, 72), index_map=lambda i: (i, 0, 0)
        )
        assert moved == (4 + 4 + 1) * self.TILE

    def test_leaves_out_what_is_beyond_the_array(self):
        # Rows 0-15, and of 16-31 the eight that there are.
        moved = self.count(
            (24, 128), grid=(2,), block=(16, 128), index_map=lambda i: (i, 0)
        )
        assert moved == (2 * 3 + 1) * self.TILE

    def test_a_squeezed_axis_and_bfloat16(self):
        x = jax.ShapeDtypeStruct((4, 16, 128), jnp.bfloat16)
        moved = traffic.pallas_bytes(
            lambda x: scaled(
                x, grid=(4,), block=(None, 16, 128), index_map=lambda i: (i, 0, 0)
            ),
            x,
        )
        assert moved == (4 * 2 * 2 + 1) * self.TILE // 2

    def test_counts_inside_other_transformations(self):
        def once(x):
            return scaled(x, grid=(2,), block=(8, 128), index_map=lambda i: (i, 0))

        def many(x):
            return jax.lax.scan(lambda x, _: (jax.jit(once)(x), None), x, length=3)[0]

        x = jax.ShapeDtypeStruct((16, 128), jnp.float32)
        assert traffic.pallas_bytes(many, x) == 3 * traffic.pallas_bytes(once, x)

    def test_leaves_out_a_kernel_whose_result_nobody_reads(self):
        def unread(x):
            scaled(x, grid=(2,), block=(8, 128), index_map=lambda i: (i, 0))
            return x + 1

        assert traffic.pallas_bytes(unread, jnp.ones((16, 128))) == 0

    def test_prefetched_scalars(self):
        def function(n, x, *, reads_n):
            def kernel(n_ref, x_ref, y_ref):
                y_ref[...] = x_ref[...]

            spec = pl.BlockSpec((8, 128), lambda i, n: (n[i] if reads_n else i, 0))
            grid_spec = pltpu.PrefetchScalarGridSpec(
                num_scalar_prefetch=1, grid=(2,), in_specs=[spec], out_specs=spec
            )
            return pl.pallas_call(kernel, grid_spec=grid_spec, out_shape=jax.typeof(x))(
                n, x
            )

        arguments = jnp.zeros(2, jnp.int32), jnp.ones((16, 128))
        moved = traffic.pallas_bytes(lambda *a: function(*a, reads_n=False), *arguments)
        assert moved == 2 * 4 + 4 * self.TILE
        with pytest.raises(NotImplementedError, match="depends on an array"):
            traffic.pallas_bytes(lambda *a: function(*a, reads_n=True), *arguments)

    def test_refuses_what_the_kernel_copies_by_itself(self):
        def function(x):
            return pl.pallas_call(
                lambda x_ref, y_ref: None,
                in_specs=[pl.BlockSpec(memory_space=pl.ANY)],
                out_shape=jax.typeof(x),
            )(x)

        with pytest.raises(NotImplementedError, match="by itself"):
            traffic.pallas_bytes(function, jnp.ones((8, 128)))


class TestFewestBytes:
    def case(self, direction, op="shift3d", shape="rubiks_56", dtype="bfloat16"):
        return next(
            c
            for c in cases.all_cases(
                op=op, implementation="xla", shape=shape, dtype=dtype
            )
            if c.direction == direction
        )

    def test_by_hand(self):
        x, shift = 8 * 8 * 56 * 56 * 72 * 2, 3 * 72 * 4
        assert traffic.fewest_bytes(self.case("forward"), "cuda") == 2 * x + shift
        assert traffic.fewest_bytes(self.case("backward"), "cuda") == 3 * x + 2 * shift
        stored, shift = x // 72 * 128, 8 * 128 * 4
        assert traffic.fewest_bytes(self.case("forward"), "tpu") == 2 * stored + shift

    def test_a_stride_makes_the_output_smaller(self):
        x, shift = 8 * 8 * 112 * 112 * 72 * 4, 3 * 72 * 4
        case = self.case("forward", shape="rubiks_112_stride", dtype="float32")
        assert traffic.fewest_bytes(case, "cuda") == x + x // 4 + shift

    def test_a_linear_operations_gradient_reads_no_x(self):
        case = self.case("backward", op="temporal_shift", shape="tsm_7")
        assert traffic.fewest_bytes(case, "cuda") == 2 * 16 * 8 * 7 * 7 * 2048 * 2


class TestProgramBytes:
    def test_of_a_compiled_program(self):
        a, b = jnp.ones((256, 512)), jnp.ones((512, 128))
        text = jax.jit(jnp.matmul).lower(a, b).compile().as_text()
        result = 256 * 128 * FLOAT
        assert hlo.program_bytes(text) == (a.nbytes + b.nbytes + result, 0, frozenset())
        assert hlo.estimated_cycles(text) is None

    TPU = """HloModule m, entry_computation_layout={(f32[16,72]{1,0:T(8,128)})->f32[]}, x=1

%body (p: f32[8]) -> f32[8] {
  %p = f32[8]{0:T(128)} parameter(0)
  ROOT %n = f32[8]{0:T(128)} negate(%p), backend_config={"estimated_cycles":"9"}
}

ENTRY %main (x: f32[16,72]) -> f32[] {
  %x = f32[16,72]{1,0:T(8,128)} parameter(0)
"""

    @pytest.mark.parametrize(
        ("line", "size_bytes"),
        [
            ("f32[16,72]{1,0:T(8,128)} negate(%x)", 2 * 16 * 128 * 4),
            # The other way round: 16 in lanes, 72 in sublanes.
            ("bf16[16,72]{0,1:T(8,128)(2,1)} copy(%x)", 16 * 128 * 4 + 72 * 128 * 2),
            ("f32[16,72]{1,0:T(8,128)S(1)} negate(%x)", 16 * 128 * 4),
            ("f32[16,72]{1,0:T(8,128)} add(%x, %x)", 2 * 16 * 128 * 4),
            ("f32[72,16]{0,1:T(8,128)} bitcast(%x)", 0),
            (
                "f32[8,72]{1,0:T(8,128)} slice(%x), slice={[0:8], [0:72]}",
                2 * 8 * 128 * 4,
            ),
            (
                COPY + " copy-start(%x)",
                16 * 128 * 4,
            ),
            (
                'f32[8]{0:T(128)} while(%x), body=%body, x={"known_trip_count":{"n":"5"}}',
                5 * 2 * 128 * 4,
            ),
            (
                "(f32[16,72]{1,0:T(8,128)}, /*index=1*/pred[3]{0:T(512)}) fusion(%x), x=(",
                2 * 16 * 128 * 4 + 512,
            ),
        ],
    )
    def test_by_hand(self, line, size_bytes):
        text = self.TPU + f"  ROOT %y = {line}\n}}\n"
        assert hlo.program_bytes(text).size_bytes == size_bytes

    def test_a_kernel_is_left_to_its_own_count(self):
        text = (
            self.TPU
            + '  ROOT %y = f32[8]{0} custom-call(%x), custom_call_target="tpu_custom_call"'
            + ', backend_config={"estimated_cycles":"7"}\n}\n'
        )
        assert hlo.program_bytes(text)[:2] == (0, 1)
        assert hlo.estimated_cycles(text) is None
        assert hlo.estimated_cycles(text.replace("tpu_custom", "another")) == 7

    def test_a_loop_of_unknown_length_is_said(self):
        text = self.TPU + "  ROOT %y = f32[8]{0} while(%x), body=%body\n}\n"
        assert hlo.program_bytes(text).notes == {"a loop is counted once"}


# The other pairs are compiled by a kernel's own tests, or as a table below.
@pytest.mark.slow
@pytest.mark.exhaustive(but=("*-v5e", "*-h100"))
@pytest.mark.parametrize(
    ("op", "target"),
    [
        pytest.param(op, target, marks=needs(target))
        for op, target in (
            ("shift3d", "v5e"),
            ("shift3d", "v6e"),
            ("shift3d_conv", "h100"),
            ("temporal_shift", "h100"),
            ("temporal_shift_conv", "v5e"),
        )
    ],
)
def test_compiles(op, target):
    shape = "rubiks_7" if op.startswith("shift3d") else "tsm_7"
    done = run(f"--target={target}", f"--op={op}", f"--shape={shape}", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    platform = chips.CHIPS[target].platform
    expected = [
        c
        for c in cases.all_cases(op=op, shape=shape)
        if c.platforms is None or platform in c.platforms
    ]
    assert [(r["implementation"], r["direction"]) for r in rows] == [
        (c.implementation, c.direction) for c in expected
    ]
    for row, case in zip(rows, expected, strict=True):
        assert row["compiled"] is True, row["error"]
        assert row["program_ratio"] > 0.5 and row["temporary_bytes"] >= 0
        assert ("kernel_bytes" in row) == (case.implementation != "xla")
        if case.implementation == "xla" and platform == "tpu":
            assert row["cycles"] > 0 and row["flops"] > 0
        if case.implementation == "triton":
            assert row["registers"] > 0 and row["spill_bytes"] == 0
            assert row["programs_an_sm"] >= 1
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stderr


@needs("v5e")
@pytest.mark.slow
def test_prints_a_table():
    done = run("--target=v5e", "--op=temporal_shift", "--shape=tsm_7")
    assert done.returncode == 0, done.stderr
    assert "temporal_shift xla forward" in done.stdout
    assert re.search(r"temporal_shift pallas_tpu forward .* 1.00 ", done.stdout)
    assert " compiled, 0 failed" in done.stdout


def test_sass_adds_columns(monkeypatch, capsys):
    def measured(case, target, device):
        taken = {"programs_an_sm": 3, "instructions": 32.25, "lanes": 0.5}
        return case.row() | taken | {"compiled": True, "error": None}

    monkeypatch.setattr(targets, "measure", measured)
    monkeypatch.setattr(chips, "describe", lambda name: jax.devices()[0])
    arguments = ["--target=h100", "--op=shift3d", "--shape=rubiks_7"]
    cli.run(["targets", *arguments])
    assert "instr" not in capsys.readouterr().out
    cli.run(["targets", *arguments, "--sass"])
    printed = capsys.readouterr().out
    assert printed.splitlines()[2].endswith("instr progs lanes sector")
    assert printed.splitlines()[3].endswith(" 32.25     3  0.50      -")


def test_a_row_that_does_not_compile_is_a_failure(monkeypatch, capsys):
    def fail(*_):
        raise ValueError("no room\nin VMEM")

    monkeypatch.setattr(targets, "_compile", fail)
    monkeypatch.setattr(chips, "describe", lambda name: jax.devices()[0])
    arguments = ["--target=v5e", "--op=shift3d", "--shape=rubiks_7"]
    assert cli.run(["targets", *arguments]) == 1
    assert "ValueError: no room" in capsys.readouterr().out
    cli.run(["targets", *arguments, "--json"])
    row = json.loads(capsys.readouterr().out.splitlines()[0])
    assert row["compiled"] is False and row["error"] == "ValueError: no room\nin VMEM"


@pytest.mark.slow(but=("*-triton-*",))
@pytest.mark.exhaustive(
    but=(
        "temporal_*",
        "*-triton-*",
        "shift3d*-rubiks_112",
        "shift3d*-rubiks_14_stride",
        "shift3d*-rubiks_28_wide",
    )
)
@pytest.mark.parametrize(
    ("op", "implementation", "platform", "shape"),
    [
        (*row, shape.name)
        for row in (
            *((op, "pallas_tpu", "tpu") for op in cases.OPERATIONS),
            # What the products' tiles read again, a GPU's caches have.
            ("shift3d", "triton", "cuda"),
            ("temporal_shift", "triton", "cuda"),
        )
        for shape in SHAPES[row[0]]
    ],
)
def test_kernels_move_hardly_more_than_they_have_to(
    op, implementation, platform, shape
):
    chosen = cases.all_cases(op=op, implementation=implementation, shape=shape)
    assert [case.direction for case in chosen] == ["forward", "backward"]
    moved = [traffic.kernel_bytes(case) for case in chosen]
    fewest = [traffic.fewest_bytes(case, platform) for case in chosen]
    by_rows = (op, implementation) == ("shift3d", "triton")
    worst = WORST_BY_ROWS if by_rows else WORST_FORWARD
    assert moved[0] <= worst * fewest[0]
    assert sum(moved) <= WORST_TOGETHER * sum(fewest)


@pytest.mark.parametrize(
    ("arguments", "listed"),
    [
        (["--target=v7"], "v5e"),
        (["--target=v5e", "--op=shift"], "temporal_shift"),
        (["--target=v5e", "--shape=rubiks_57"], "rubiks_56"),
        (["--target=v5e", "--op=shift3d", "--shape=tsm_7"], "rubiks_7"),
        (["--target=v5e", "--implementation=pallas"], "pallas_tpu"),
        (["--target=v5e", "--implementation=triton"], "does not run on v5e"),
        (["--target=v5e", "--dtype=float16"], "bfloat16"),
    ],
)
def test_wrong_names_say_the_right_ones(arguments, listed, capsys):
    assert cli.run(["targets", *arguments]) == 2
    assert listed in capsys.readouterr().err


def test_says_what_has_to_be_installed(monkeypatch, capsys):
    monkeypatch.setattr(chips.importlib.util, "find_spec", lambda name: None)
    assert cli.run(["targets", "--target=h100"]) == 2
    assert 'pip install "vidshift[targets]"' in capsys.readouterr().err
