"""The GPU kernels of the temporal shift: compiled for an H100, and run from Triton's IR."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.support.absent_chips import check_for
from tests.support.ttir.evaluator import evaluate
from tests.support.ttir.launch import (
    compile_to_ttir,
    launches,
    needs_jax_triton,
    needs_triton,
)
from tests.support.ttir.memory import Addresses
from tests.support.ttir.parser import parse
from vidshift.kernels import temporal_shift, temporal_shift_conv
from vidshift.kernels.analysis.shapes import TEMPORAL_SHIFT
from vidshift.kernels.temporal import gpu, gpu_plan
from vidshift.kernels.temporal.arguments import Move
from vidshift.kernels.triton_gpu import compiling_for, kernel_of

pytestmark = pytest.mark.slow

PRODUCTS = ("shift_conv", "shift_conv_dx", "shift_conv_dw")
NAMES = ("shift", "shift_reverse", *PRODUCTS)
# One rounding to the result's type.
RELATIVE = {"float32": 2e-6, "float16": 2.0**-11, "bfloat16": 2.0**-8}


class Case(NamedTuple):
    """A call; filters None: the shift alone."""

    x: tuple[int, int, int, int]
    filters: int | None
    fold: int
    dtype: str = "float32"
    direction: str = "both"
    epilogue: tuple[str, ...] = ()  # of scale, bias, relu
    nan: bool = False  # an element of x and one of dz
    multiprocessors: int = 132  # whose programs share out the rows

    @property
    def options(self):
        return {"fold": self.fold, "direction": self.direction}


CASES = {
    # Tiles that cross frames and clips; each channel by itself.
    "odd": Case((2, 3, 25, 40), 20, 5, epilogue=("scale", "bias", "relu"), nan=True),
    # Blocks of one source frame, the last of them ragged.
    "uniform": Case((1, 3, 7, 288), 264, 64, "bfloat16", epilogue=("bias",), nan=True),
    # Programs with several tiles of rows, and weights that stay; dw of several parts.
    "kept": Case(
        *((1, 4, 66, 40), 24, 8, "bfloat16"),
        epilogue=("scale", "bias"),
        nan=True,
        multiprocessors=1,
    ),
    "past": Case((2, 3, 9, 48), 130, 12, "bfloat16", "past", ("scale", "relu"), True),
    "one_frame": Case((3, 1, 7, 24), 5, 3, epilogue=("scale",)),
    "no_fold": Case((1, 3, 5, 20), 16, 0, "bfloat16", epilogue=("bias", "relu")),
    "uniform_float32": Case(
        (1, 2, 40, 160), 70, 16, epilogue=("scale", "bias"), multiprocessors=3
    ),
    "past_float32": Case((2, 3, 5, 18), 3, 16, direction="past", nan=True),
    "all_moved": Case((1, 3, 4, 34), 17, 17, "bfloat16", nan=True),
    "float16": Case((1, 3, 6, 64), 33, 8, "float16", epilogue=("relu",)),
    "one": Case((1, 1, 1, 1), 1, 0),
    "moved_programs": Case((2, 3, 41, 40), None, 4, "bfloat16"),
    "moved_int32": Case((2, 3, 5, 24), None, 3, "int32", "past"),
    "moved_uint16": Case((1, 4, 3, 7), None, 2, "uint16"),
}


class Far(NamedTuple):
    """A program of the last rows, more than 2**31 elements from frame to frame."""

    name: str
    fold: int
    program: int  # from the last
    rows: int
    channels: range
    filters: range
    x: tuple[int, int, int, int] = (1, 3, 2**20, 4096)
    out_channels: int = 1024
    multiprocessors: int = 132


MANY = 2**24  # each tile of rows has programs of its own
LAST = range(768, 1024)  # filters of a tile
FAR = {
    "far_shift": Far("shift", 1000, -1, 2, range(4096), range(0)),
    # Blocks of one source frame, and of several.
    "far_conv": Far("shift_conv", 1024, -1, 128, range(4096), LAST),
    "far_conv_mixed": Far("shift_conv", 1000, -1, 128, range(4096), LAST),
    "far_dw": Far(
        "shift_conv_dw",
        1024,
        35 - 128,
        64,
        range(1024, 1152),
        LAST,
        multiprocessors=MANY,
    ),
    "far_dw_mixed": Far(
        "shift_conv_dw",
        1000,
        31 - 128,
        64,
        range(896, 1024),
        LAST,
        multiprocessors=MANY,
    ),
    **{
        name: Far(
            *("shift_conv_dx", fold, program, rows, channels, range(filters)),
            x=(1, 3, 2**20, 1024),
            out_channels=filters,
            multiprocessors=multiprocessors,
        )
        for name, fold, program, rows, channels, filters, multiprocessors in [
            ("far_dx", 256, -4, 128, range(256), 4096, 132),
            ("far_dx_mixed", 100, -4, 128, range(256), 4096, 132),
            ("far_dx_kept", 100, -8, 64, range(128), 256, MANY),
        ]
    },
}


@functools.cache
def inputs(case: Case) -> dict:
    """x of any bits, or where it is multiplied normal, with w, dz and the epilogue's."""
    rng = np.random.default_rng(sum(case.x))
    dtype = jnp.dtype(case.dtype)
    if case.filters is None:
        bits = rng.bytes(int(np.prod(case.x)) * dtype.itemsize)
        return {"x": np.frombuffer(bits, dtype).reshape(case.x)}

    def normal(*shape):
        return rng.standard_normal(shape, np.float32)

    arrays = {
        "x": normal(*case.x).astype(dtype),
        "w": normal(case.x[3], case.filters).astype(dtype),
        "dz": normal(*case.x[:3], case.filters).astype(dtype),
        **{n: normal(case.filters) for n in case.epilogue if n != "relu"},
    }
    if case.nan:
        arrays["x"][0, 1, 0, 0] = np.nan
        arrays["dz"][0, -1, 0, -1] = np.nan
    return arrays


def shifted(x, *, fold, direction, reverse=False):
    """By plain NumPy: the shift, or its transpose."""
    y = x.copy()
    moves = [-1] if direction == "past" else [1, -1]
    for group, step in enumerate(moves):
        of = slice(group * fold, (group + 1) * fold)
        y[..., of] = 0
        step = -step if reverse else step
        if step > 0:
            y[:, :-1, :, of] = x[:, 1:, :, of]
        else:
            y[:, 1:, :, of] = x[:, :-1, :, of]
    return y


@functools.cache
def expected(case: Case) -> dict:
    """By plain NumPy; products in float64."""
    arrays = inputs(case)
    x = arrays["x"]
    results = {
        "shift": shifted(x, **case.options),
        "shift_reverse": shifted(x, reverse=True, **case.options),
    }
    if case.filters is None:
        return results
    x, w, dz = (arrays[n].astype(np.float64) for n in ("x", "w", "dz"))
    moved = shifted(x, **case.options)
    y = (moved @ w) * arrays.get("scale", 1.0) + arrays.get("bias", 0.0)
    return results | {
        "shift_conv": np.maximum(y, 0) if "relu" in case.epilogue else y,
        "shift_conv_dx": shifted(dz @ w.T, reverse=True, **case.options),
        "shift_conv_dw": np.einsum("atrc,atrk->ck", moved, dz),
    }


def launch(name: str) -> dict:
    """Name of a function -> its result, by the kernels' launchers."""
    case = CASES[name]
    arrays = {n: jnp.asarray(a) for n, a in inputs(case).items()}
    x, move = arrays["x"], Move(**case.options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_plan, "MULTIPROCESSORS", case.multiprocessors)
        results = {
            "shift": gpu.shift(x, move=move),
            "shift_reverse": gpu.shift(x, move=move._replace(reverse=True)),
        }
        if case.filters:
            w, dz = arrays["w"], arrays["dz"]
            small = arrays.get("scale"), arrays.get("bias")
            relu = "relu" in case.epilogue
            results |= {
                "shift_conv": gpu.conv(x, w, *small, relu=relu, move=move),
                "shift_conv_dx": gpu.conv_dx(dz, w, move=move),
                "shift_conv_dw": gpu.conv_dw(x, dz, move=move)[0],
            }
    return results


@functools.cache
def executed(name: str):
    """Results of the compiled kernels, and the bytes that each moves."""
    with launches() as launched:
        results = launch(name)
    small = ("scale_ptr", "bias_ptr")
    moved = [each.moved_bytes(without=small) for each in launched]
    return results, dict(zip(results, moved, strict=True))


@needs_triton
@pytest.mark.parametrize("name", CASES)
def test_compiled_kernels_equal_the_reference(name):
    _compare(CASES[name], executed(name)[0])


def _compare(case: Case, got: dict):
    want = expected(case)
    for key in ("shift", "shift_reverse"):
        bits = _bits(np.asarray(got[key]))
        np.testing.assert_array_equal(bits, _bits(want[key]), key)
    summed = {
        "shift_conv": case.x[3],
        "shift_conv_dx": case.filters,
        "shift_conv_dw": np.prod(case.x[:3]),
    }
    for key in PRODUCTS if case.filters else ():
        dtype = "float32" if key == "shift_conv_dw" else case.dtype
        np.testing.assert_allclose(
            np.asarray(got[key]).astype(np.float64),
            want[key],
            rtol=RELATIVE[dtype],
            atol=2e-6 * np.sqrt(summed[key]),
            err_msg=key,
        )
        assert np.isnan(want[key]).any() == case.nan


def _bits(array):
    return array.view(f"u{array.dtype.itemsize}")


@needs_triton
@pytest.mark.parametrize("name", CASES)
def test_fetched_bytes_are_those_of_the_programs(name, monkeypatch):
    case = CASES[name]
    monkeypatch.setattr(gpu_plan, "MULTIPROCESSORS", case.multiprocessors)
    itemsize = jnp.dtype(case.dtype).itemsize
    names = NAMES if case.filters else NAMES[:2]
    counted = {
        n: gpu_plan.kernel_bytes(
            *("shift" if n == "shift_reverse" else n, case.x, itemsize),
            out_channels=case.filters or 0,
            reverse=n == "shift_reverse",
            **case.options,
        )
        for n in names
    }
    assert executed(name)[1] == counted


@needs_triton
@pytest.mark.parametrize("name", FAR)
def test_addresses_of_more_than_32_bits(name, monkeypatch):
    case = FAR[name]
    monkeypatch.setattr(gpu_plan, "MULTIPROCESSORS", case.multiprocessors)
    of = {"fold": case.fold, "direction": "both", "out_channels": case.out_channels}
    launch = gpu_plan.plan(case.name, case.x, 2, **of).launch
    kernel = kernel_of(launch)
    dtypes = {
        argument: jnp.dtype("float32" if argument == "parts_ptr" else "bfloat16")
        for argument in kernel.arg_names
        if argument.endswith("_ptr")
    }
    tensors = [Addresses(*each) for each in dtypes.items()]
    text = compile_to_ttir(kernel, dtypes.values(), launch.constants)
    evaluate(parse(text), tensors, np.array([case.program % launch.programs]))
    frames, r, c = case.x[1:]
    rows = np.arange(frames * r - case.rows, frames * r)[:, None]
    channels, filters = np.array(case.channels), np.array(case.filters)
    steps = np.select([channels < case.fold, channels < 2 * case.fold], [1, -1])
    of_x, of_z = rows * c + channels, rows * case.out_channels + filters
    # No frame is later than this one: the channels that read it clear the first one.
    read = (of_x + steps * r * c)[np.broadcast_to(steps < 1, of_x.shape)]
    moved = of_x + np.where(steps == 1, 1 - frames, steps) * r * c
    expected = {
        "shift": {0: read, 1: of_x},
        "shift_conv": {0: read, 4: of_z},
        "shift_conv_dx": {0: of_z, 2: moved},
        "shift_conv_dw": {0: read, 1: of_z},
    }[case.name]
    for argument, addresses in expected.items():
        got = tensors[argument].reached
        np.testing.assert_array_equal(got, np.unique(addresses), str(argument))


# Programs of a multiprocessor and waves: one wave, but where a sum has too many channels for
# its weights to stay; two programs where two tiles' sums and loads fit.
WAVES = {
    "tsm_56": {"shift_conv": (1, 1.0), "shift_conv_dx": (2, 1.0), "shift_conv_dw": (2, 1.0)},
    "tsm_28": {"shift_conv": (1, 2.97), "shift_conv_dx": (1, 1.0), "shift_conv_dw": (1, 1.0)},
    "tsm_14": {"shift_conv": (1, 1.48), "shift_conv_dx": (1, 1.0), "shift_conv_dw": (1, 1.0)},
    "tsm_7": {"shift_conv": (1, 0.74), "shift_conv_dx": (1, 2.97), "shift_conv_dw": (1, 1.0)},
}  # fmt: skip


def _resources_at(shape, name):
    b, t, h, w, c = shape.x
    options = {"out_channels": c // 4, **shape.options}
    return gpu.kernel_resources(name, (b, t, h * w, c), "bfloat16", **options)


@needs_triton
@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("shape", TEMPORAL_SHIFT, ids=lambda s: s.name)
def test_programs_fit_at_the_named_shapes(shape, name):
    found = _resources_at(shape, name)
    programs, waves = WAVES[shape.name][name]
    assert found["spills"] == 0
    assert found["tensor_cores"]
    assert found["programs_an_sm"] == programs
    assert found["waves"] == pytest.approx(waves, abs=0.04)
    assert found["stages"] >= gpu_plan.AHEAD


@needs_triton
def test_the_shift_alone_fills_half_of_a_multiprocessor():
    found = _resources_at(TEMPORAL_SHIFT[0], "shift")
    assert found["spills"] == 0
    assert found["programs_an_sm"] * found["warps"] >= 64 // 2


@needs_triton
@pytest.mark.parametrize(
    ("name", "compute_capability", "shared"),
    [("shift_conv", 80, 163), ("shift_conv_dx", 89, 99), ("shift_conv_dw", 89, 99)],
)
def test_tiles_fit_smaller_gpus(name, compute_capability, shared):
    """An A100 and an L4: no program may ask for more than these kilobytes."""
    shape, of = (16, 8, 196, 256), {"fold": 32, "out_channels": 256}
    found = gpu.kernel_resources(
        name, shape, "bfloat16", compute_capability=compute_capability, **of
    )
    assert found["shared"] <= shared * 2**10
    assert found["spills"] == 0


@needs_triton
# MobileNetV2's first and last.
@pytest.mark.parametrize(("channels", "dtype"), [(24, "bfloat16"), (160, "float32")])
def test_registers_suffice_for_other_folds(channels, dtype):
    for name in PRODUCTS:
        of = {"fold": channels // 8, "out_channels": 96}
        found = gpu.kernel_resources(name, (2, 8, 196, channels), dtype, **of)
        assert found["spills"] == 0, name


FETCHED = {"tsm_56": 268e6, "tsm_28": 177e6, "tsm_14": 170e6, "tsm_7": 180e6}


@pytest.mark.parametrize("shape", TEMPORAL_SHIFT, ids=lambda s: s.name)
def test_named_shapes_move_little_from_memory(shape):
    b, t, h, w, c = shape.x
    x = (b, t, h * w, c)
    of = {"out_channels": c // 4, "direction": "both", **shape.options}
    rows, k = b * t * h * w, c // 4
    least = rows * (c + k) * 2
    for name in PRODUCTS:
        moved = gpu_plan.least_bytes(name, x, 2, **of)
        assert least < moved <= 2.2 * least  # at 7x7 the parts of dw weigh most
        fetched = gpu_plan.kernel_bytes(name, x, 2, **of)
        # The parts of dw are added up by XLA; 17 MB is what one wave writes of them.
        assert moved <= fetched + 1.1 * 2 * gpu_plan.MOST_SUMS * 132 * 4
        # What the caches give is the limit at 28 and less: 5 to 6 TB/s on an H200.
        assert fetched <= FETCHED[shape.name]
    assert gpu_plan.least_bytes("shift", x, 2, **of) <= 2 * rows * c * 2


COMPILE = """
def both(x, weight, scale, bias, dy, dz):
    options = {"fold": fold, "direction": direction, "implementation": "triton"}
    y, to_x = jax.vjp(lambda x: temporal_shift(x, **options), x)
    epilogue = {"scale": scale, "bias": bias, "relu": scale is not None}
    f = lambda x, weight: temporal_shift_conv(x, weight, **epilogue, **options)
    z, vjp = jax.vjp(f, x, weight)
    return y, to_x(dy), z, vjp(dz)
for dtype, (*clips, c), k, fold, direction in [
    ("bfloat16", (4, 8, 49, 2048), 512, 256, "both"),
    ("float32", (2, 3, 5, 24), 20, 3, "past"),
]:
    x, dz = array(*clips, c, dtype=dtype), array(*clips, k, dtype=dtype)
    small = (array(k), array(k)) if direction == "both" else (None, None)
    text = compiled(jax.jit(both), x, array(c, k), *small, x, dz).as_text()
    assert text.count('custom_call_target="triton_kernel_call"') == 5, text
"""


@needs_jax_triton
def test_compiles_for_an_absent_h100():
    check_for("h100", COMPILE)


BLOCKS = """
from vidshift.kernels import Frames
from vidshift.kernels.analysis import hlo

def block(x, weights, name):
    y = temporal_shift(Frames(x, 8), fold=16, implementation=name).data if name else x
    for w, relu in zip(weights, (jax.nn.relu, lambda y: y + x), strict=True):
        axes = ("HWNC", "HWIO", "HWNC")
        y = jax.lax.conv_general_dilated(y, w, (1, 1), "SAME", dimension_numbers=axes)
        y = relu((y.astype("float32") * 2 + 1).astype(y.dtype))
    return jax.nn.relu(y)

def network(weights, x, name):
    for pair in weights:
        x = block(x, pair, name)
    return x.astype("float32").mean()

def arrays_moved(function, name):
    x = array(28, 28, 128, 128, dtype="bfloat16")
    weights = [[array(3, 3, 128, 128, dtype="bfloat16")] * 2] * 3
    program = jax.jit(lambda weights, x: function(weights, x, name))
    text = compiled(program, weights, x).as_text()
    return hlo.program_bytes(text, kernels=True).size_bytes / (2 * x.size)

for function in (network, jax.grad(network)):
    none, xla, triton = (arrays_moved(function, n) for n in (None, "xla", "triton"))
    print(f"arrays of x: {none:.1f} without, {xla:.1f} xla, {triton:.1f} triton")
    assert xla - none < 0.6 * (triton - none)
"""


@needs_jax_triton
def test_xla_moves_less_for_the_shift_alone():
    """Why it is chosen on a GPU, where its own pass is the slower one."""
    check_for("h100", BLOCKS)


@pytest.mark.parametrize(
    ("shape", "dtype", "out_channels", "reason"),
    [
        ((2**11, 2**10, 2**10, 1), "bfloat16", None, "32 bits"),
        ((1, 2, 0, 4), "float32", None, "nothing"),
        ((1, 2, 3, 2**16), "bfloat16", 2**15, "the weights"),
    ],
)
def test_says_what_it_cannot_do(shape, dtype, out_channels, reason):
    arrays = [jax.ShapeDtypeStruct(shape, dtype)]
    f = temporal_shift
    if out_channels:
        f = temporal_shift_conv
        arrays.append(jax.ShapeDtypeStruct((shape[-1], out_channels), "float32"))
    with pytest.raises(NotImplementedError, match=reason):
        jax.eval_shape(functools.partial(f, fold=0, implementation="triton"), *arrays)


def test_tiles_are_of_the_gpu_that_is_compiled_for():
    x = jax.ShapeDtypeStruct((16, 8, 196, 256), "bfloat16")
    for capability in (89, 90):
        with compiling_for(capability):
            plan = gpu._plan("shift_conv", x, Move(32, "both"), out_channels=64)
        of = {"fold": 32, "out_channels": 64, "compute_capability": capability}
        assert plan == gpu_plan.plan("shift_conv", x.shape, 2, **of)
    assert plan != gpu_plan.plan(
        "shift_conv", x.shape, 2, **of | {"compute_capability": 89}
    )


@pytest.mark.skipif(
    jax.default_backend() == "gpu", reason="a GPU is here to compile for"
)
@needs_jax_triton
def test_refuses_to_guess_a_gpu():
    x = jnp.zeros((1, 2, 3, 4))
    with pytest.raises(NotImplementedError, match="compiling_for"):
        gpu.shift(x, move=Move(1, "both"))


@pytest.mark.parametrize("name", CASES)
def test_on_the_gpu_equals_the_reference(name):
    if jax.default_backend() != "gpu":
        pytest.skip("no GPU here (or VIDSHIFT_TEST_PLATFORM=cuda is not set)")
    _compare(CASES[name], launch(name))
