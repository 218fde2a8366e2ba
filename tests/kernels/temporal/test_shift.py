"""The temporal shift: hand-worked, against a loop, and its gradient."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidshift.kernels import temporal_shift


def by_loop(x: np.ndarray, fold: int, direction: str) -> np.ndarray:
    """Value by value, from the definition."""
    steps = {"both": (1, -1), "past": (-1,)}[direction]
    y = np.zeros_like(x)
    frames = x.shape[1]
    for c in range(x.shape[-1]):
        group = c // fold if fold else len(steps)
        step = steps[group] if group < len(steps) else 0
        for t in range(frames):
            if 0 <= t + step < frames:
                y[:, t, ..., c] = x[:, t + step, ..., c]
    return y


def _subnormal(x: np.ndarray, tiny: float) -> np.ndarray:
    size = np.abs(x.astype(np.float32))
    return (0 < size) & (size < tiny)


def random_bits(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Bit patterns, -0 and infinities included, and one kind of NaN.

    Without subnormals of less than 32 bits: some CPUs compute these types in float32,
    where XLA cuts subnormals off.
    """
    rng = np.random.default_rng(0)
    size = int(np.prod(shape)) * jnp.dtype(dtype).itemsize
    x = rng.integers(0, 256, size, np.uint8).view(dtype).reshape(shape)
    with np.errstate(invalid="ignore"):  # casting a signalling NaN
        nan = np.isnan(x.astype(np.float32))
        quiet = np.asarray(np.nan).astype(dtype)
    x = np.where(nan, quiet, x)  # a copy may quieten a NaN
    if jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize < 4:
        tiny = float(jnp.finfo(dtype).tiny)
        x = np.where(_subnormal(x, tiny), np.zeros((), dtype), x)
    return x.astype(dtype)


# Frame t of channel c is 10 (t + 1) + c + 1.
CLIP = [[11, 12, 13], [21, 22, 23], [31, 32, 33]]


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        # Channel 0 takes the next frame, channel 1 the one before.
        ("both", [[21, 0, 13], [31, 12, 23], [0, 22, 33]]),
        ("past", [[0, 12, 13], [11, 22, 23], [21, 32, 33]]),
    ],
)
def test_worked_by_hand(direction, expected):
    x = jnp.array(CLIP, jnp.float32)[None, :, None, None, :]
    y = temporal_shift(x, fold=1, direction=direction)
    assert y[0, :, 0, 0].tolist() == expected


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.int8])
@pytest.mark.parametrize("direction", ["both", "past"])
@pytest.mark.parametrize(
    ("shape", "fold"),
    [
        ((2, 4, 2, 3, 12), 3),
        ((1, 1, 2, 2, 5), 2),  # one frame: what is shifted is zero
        ((3, 2, 1, 7), 1),  # one spatial axis
        ((2, 5, 6), 3),  # none, and no channel stays with "both"
        ((1, 3, 2, 2, 4), 0),  # nothing moves
    ],
)
def test_bits_equal_a_loop(shape, fold, direction, dtype):
    x = random_bits(shape, dtype)
    y = temporal_shift(jnp.asarray(x), fold=fold, direction=direction)
    assert y.dtype == dtype and y.shape == shape
    assert np.asarray(y).tobytes() == by_loop(x, fold, direction).tobytes()


@pytest.mark.parametrize("direction", ["both", "past"])
def test_gradient_is_the_transpose(direction):
    shape, fold = (1, 3, 5), 2  # whole numbers, so that every sum is exact
    columns = [
        by_loop(basis.reshape(shape), fold, direction).ravel() for basis in np.eye(15)
    ]
    dy = np.arange(1.0, 16.0, dtype=np.float32)
    _, vjp = jax.vjp(
        lambda x: temporal_shift(x, fold=fold, direction=direction), jnp.zeros(shape)
    )
    (dx,) = vjp(jnp.asarray(dy.reshape(shape)))
    np.testing.assert_array_equal(dx.ravel(), np.stack(columns) @ dy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "future"}, "direction must be one of .*got 'future'"),
        ({"fold": 4}, r"fold=4: 2 fold\(s\) do not fit in x's 7 channels"),
        ({"fold": 8, "direction": "past"}, r"fold=8: 1 fold\(s\)"),
        ({"fold": -1}, "fold=-1"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        temporal_shift(jnp.zeros((1, 2, 3, 3, 7)), **{"fold": 1} | change)


def test_too_few_axes():
    unchecked = inspect.unwrap(temporal_shift)  # as outside tests: no shape annotations
    with pytest.raises(ValueError, match=r"\[B, T, ..., C\], got shape \(2, 3\)"):
        unchecked(jnp.zeros((2, 3)), fold=1)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_lowers_for_other_platforms(platform):
    shift = jax.jit(lambda x: temporal_shift(x, fold=1))
    x = jax.ShapeDtypeStruct((1, 3, 2, 2, 5), jnp.bfloat16)
    assert jax.export.export(shift, platforms=[platform])(x).platforms == (platform,)
