"""The choice of implementations by platform, and the calls that a named one refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tests.support.dispatch import chosen, with_gradients
from tests.support.operations import CALLS, ONE
from vidshift.kernels import Frames, shift3d, shift3d_conv, temporal_shift_conv
from vidshift.kernels.analysis.cases import OPERATIONS
from vidshift.kernels.dispatch import REFERENCE, forced

KERNELS = ["pallas_tpu", "triton"]
BY_OPERATION = pytest.mark.parametrize("name", list(OPERATIONS))


def shapes(*each):
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in each]


X = (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("platform", "x", "max_shift", "implementation"),
    [
        ("cpu", X, ONE, "xla"),
        ("rocm", X, ONE, "xla"),
        ("tpu", X, ONE, "pallas_tpu"),
        ("tpu", X, None, "xla"),  # it needs a bound
        ("cuda", X, ONE, "triton"),
        ("cuda", X, None, "triton"),
        # The bound counts as far as it reaches within the clip.
        ("tpu", X, (1.0, 1.0, 20.0), "pallas_tpu"),
        ("tpu", (1, 2, 3, 30, 5), (1.0, 1.0, 20.0), "xla"),
    ],
)
def test_shift3d_by_platform(triton_installed, platform, x, max_shift, implementation):
    f = with_gradients(functools.partial(shift3d, max_shift=max_shift))
    scopes = chosen(platform, f, *shapes(x, (3, x[-1]), x))
    wanted = {d: f"shift3d_{d}_{implementation}" for d in ("forward", "backward")}
    assert scopes == wanted


@pytest.mark.parametrize(
    ("platform", "c", "k", "options", "forward", "backward"),
    [
        ("cpu", 16, 6, {}, "xla", "xla"),
        ("tpu", 16, 6, {}, "pallas_tpu", "pallas_tpu"),
        ("tpu", 16, 6, {"max_shift": None}, "xla", "xla"),  # kernels need a bound
        # Of strided frames the fused kernel would compute all.
        *[("tpu", 16, 6, {"stride": (2, 1, 1)}, *["unfused_pallas_tpu"] * 2)],
        ("cuda", 32, 32, {}, "triton", "triton"),
        ("cuda", 32, 1024, {}, "unfused_triton", "unfused_triton"),
        # Backward each block of channels would read dy again.
        ("cuda", 72, 72, {}, "triton", "unfused_triton"),
    ],
)
def test_shift3d_conv_by_platform(
    triton_installed, platform, c, k, options, forward, backward
):
    f = functools.partial(shift3d_conv, **{"max_shift": ONE} | options)
    arrays = shapes((8, 8, 56, 56, c), (3, c), (c, k))
    arrays.append(jax.eval_shape(f, *arrays))
    assert chosen(platform, with_gradients(f), *arrays) == {
        "forward": f"shift3d_conv_forward_{forward}",
        "backward": f"shift3d_conv_backward_{backward}",
    }


@pytest.mark.parametrize(
    ("platform", "piece", "side", "c", "k", "affine", "implementation"),
    [
        # 205 MB of features do not fit a TPU's VMEM, 103 MB do.
        ("tpu", "forward", 56, 256, 128, True, "pallas_tpu"),
        ("tpu", "forward", 28, 512, 128, True, "xla"),
        ("tpu", "forward", 56, 256, 64, True, "xla"),
        ("tpu", "forward", 56, 256, 128, False, "xla"),
        ("tpu", "backward_weight", 56, 256, 64, False, "pallas_tpu"),
        ("tpu", "backward_weight", 28, 512, 128, False, "xla"),
        ("tpu", "backward_x", 56, 256, 64, False, "xla"),
        ("cpu", "forward", 56, 256, 128, True, "xla"),
        *(
            ("cuda", piece, 56, 256, 64, True, "triton")
            for piece in ("forward", "backward_x", "backward_weight")
        ),
    ],
)
def test_temporal_shift_conv_by_platform(
    triton_installed, platform, piece, side, c, k, affine, implementation
):
    def f(x, weight, scale):
        frames = Frames(x, 8)
        scale = scale if affine else None
        return temporal_shift_conv(frames, weight, fold=c // 8, scale=scale).data

    def name(rows, devices=1):
        x = jax.ShapeDtypeStruct((side, side, rows, c), jnp.bfloat16)
        dy = jax.ShapeDtypeStruct((side, side, rows, k), jnp.bfloat16)
        arrays = (x, *shapes((c, k), (k,)), dy)
        scopes = chosen(platform, with_gradients(f), *arrays, devices=devices)
        return scopes[piece].partition("ward_")[2]

    assert name(128) == implementation
    if implementation == "pallas_tpu":
        # Rows of frames that no tile divides, and a mesh that cannot be seen.
        assert name(136) == name(128, devices=4) == "xla"


@pytest.mark.parametrize("platform", ["cpu", "tpu", "cuda"])
def test_temporal_shift_is_xlas_everywhere(triton_installed, platform):
    call = CALLS["temporal_shift"]
    scopes = chosen(platform, call.with_gradients(), *call.arrays())
    assert scopes == {d: f"temporal_shift_{d}_xla" for d in ("forward", "backward")}


@pytest.mark.parametrize("name", ["shift3d", "shift3d_conv"])
def test_no_kernel_is_chosen_for_float64(name):
    call = CALLS[name]
    with jax.enable_x64(True):
        arrays = [a.astype(jnp.float64) for a in call.arrays()]
        scopes = chosen("tpu", call.with_gradients(), *arrays)
    assert all(scope.endswith("ward_xla") for scope in scopes.values())


@BY_OPERATION
def test_choices_are_of_their_platform(name):
    operation = OPERATIONS[name].operation
    for choice in operation.choices:
        assert choice.platform in operation.implementations[choice.name].platforms
        assert choice.reason


def test_the_reference_has_a_form_of_its_own_for_dx_on_a_tpu():
    call = CALLS["temporal_shift_conv_frames"]
    traced = jax.jit(call.with_gradients(implementation="xla")).trace(*call.arrays())
    for platform, products_of_copies in (("tpu", True), ("cpu", False)):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.concatenate" in text) == products_of_copies


@BY_OPERATION
@pytest.mark.parametrize("implementation", KERNELS)
def test_a_name_is_that_implementation(triton_installed, name, implementation):
    """On its platform; and "xla" is XLA where a kernel would be chosen."""
    call = CALLS[name]
    (platform,) = call.operation.implementations[implementation].platforms
    for asked in (implementation, REFERENCE):
        f = call.with_gradients(implementation=asked)
        scopes = chosen(platform, f, *call.arrays())
        assert scopes and all(s.endswith(f"ward_{asked}") for s in scopes.values())


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n != "temporal_shift"])
def test_the_chosen_kernel_is_in_a_tpus_program(name):
    """Without a TPU: the program is lowered for one."""
    call = CALLS[name]
    named = {"implementation": "pallas_tpu"} if name.startswith("temporal") else {}
    program = jax.jit(call.with_gradients(**named)).trace(*call.arrays())
    text = program.lower(lowering_platforms=("tpu",)).as_text(debug_info=True)
    for direction in ("forward", "backward"):
        assert f"{name}_{direction}_pallas_tpu" in text
    assert "tpu_custom_call" in text


@BY_OPERATION
@pytest.mark.parametrize("implementation", KERNELS)
def test_a_name_on_another_platform_is_refused(triton_installed, name, implementation):
    call = CALLS[name]
    x, *shared, _ = call.arrays()

    def loss(x):
        return call.function(x, *shared, implementation=implementation).sum()

    (platform,) = call.operation.implementations[implementation].platforms
    refused = f"{name}: '{implementation}' runs on {platform} alone, not on cpu"
    for f in (loss, jax.jit(jax.value_and_grad(loss))):
        with pytest.raises(NotImplementedError, match=refused):
            f(x)


@BY_OPERATION
@pytest.mark.parametrize(
    ("implementation", "dtype", "message"),
    [
        ("cuda", "float32", r"one of \('xla', 'pallas_tpu', 'triton'\), got 'cuda'"),
        ("unfused_triton", "float32", "got 'unfused_triton'"),
        *((k, "float16", f"'{k}' takes x of .*bfloat16, got float16") for k in KERNELS),
        *((k, "float64", f"'{k}' takes x of .*bfloat16, got float64") for k in KERNELS),
    ],
)
def test_wrong_names_and_dtypes(name, implementation, dtype, message):
    call = CALLS[name]
    x, *shared, _ = call.arrays()
    with jax.enable_x64(True), pytest.raises(ValueError, match=message):
        call.function(
            jnp.asarray(x, dtype),
            *shared,
            implementation=implementation,
        )


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
def test_a_kernel_that_cannot_tell_the_batch_says_so(kind):
    # Explicit axes would have their own say on what is split, even on one called `data`.
    names = ("rows", "data") if kind == AxisType.Explicit else ("rows", "columns")
    mesh = jax.make_mesh((4, 2), names, (kind,) * 2)
    arrays = CALLS["shift3d"].arrays()[:2]
    specs = PartitionSpec("rows"), PartitionSpec()
    put = [
        jax.device_put(a, NamedSharding(mesh, s))
        for a, s in zip(arrays, specs, strict=True)
    ]
    f = CALLS["shift3d"].function
    named = functools.partial(f, implementation="pallas_tpu")
    # Seen in x, or by jit alone.
    by_jit = {"in_shardings": tuple(a.sharding for a in put)}
    for args, options in ((put, {}), (arrays, by_jit)):
        traced = jax.jit(named, **options).trace(*args)
        with pytest.raises(NotImplementedError, match="8 devices needs arrays on a"):
            traced.lower(lowering_platforms=("tpu",))
        traced = jax.jit(f, **options).trace(*args)
        text = traced.lower(lowering_platforms=("tpu",)).as_text()
        assert "tpu_custom_call" not in text


class TestForced:
    def test_is_in_the_key_of_a_compiled_program(self):
        call = CALLS["shift3d"]
        program = jax.jit(call.function)
        x, shift, _ = call.arrays()
        outside = program(x, shift)
        with forced("pallas_tpu", stand_in=True):
            inside = program.lower(x, shift).as_text(debug_info=True)
        assert "shift3d_forward_pallas_tpu" in inside
        assert "pallas_tpu" not in program.lower(x, shift).as_text(debug_info=True)
        with (
            forced("triton"),
            pytest.raises(NotImplementedError, match="cuda alone|jax"),
        ):
            program(x, shift)
        np.testing.assert_array_equal(program(x, shift), outside)

    @BY_OPERATION
    def test_interprets_a_kernel(self, name):
        call = CALLS[name]
        arrays = call.arrays(1)
        with forced("pallas_tpu", interpret=True):
            jaxpr = jax.make_jaxpr(call.with_gradients())(*arrays)
            named = jax.make_jaxpr(call.with_gradients(implementation="xla"))(*arrays)
        assert "pallas_call" in str(jaxpr) and "pallas_call" not in str(named)

    def test_the_reference_needs_no_interpreter(self):
        call = CALLS["shift3d"]
        x, shift, _ = call.arrays()
        with forced("xla", interpret=True):
            assert chosen("tpu", call.function, x, shift) == {
                "forward": "shift3d_forward_xla"
            }
        assert chosen("tpu", call.function, x, shift) == {
            "forward": "shift3d_forward_pallas_tpu"
        }

    def test_refuses_what_has_no_interpreter(self):
        refused = pytest.raises(NotImplementedError, match="'triton' has no interpret")
        with refused, forced("triton", interpret=True):
            pass

    def test_refuses_a_name_that_no_operation_has(self):
        call = CALLS["shift3d"]
        with forced("pallas"), pytest.raises(ValueError, match="got 'pallas'"):
            call.function(*call.arrays()[:2])
