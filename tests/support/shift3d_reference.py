"""`shift3d` by its definition, slow and in float64."""

import functools
import itertools

import jax
import numpy as np

from vidshift.kernels import shift3d

# One shape and one bound for the tests that need no other, so that they share programs.
SHAPE, STRIDE, BOUND = (2, 4, 3, 4, 6), (1, 2, 2), (1.5, 2.0, 1.0)
# What runs on a CPU, "pallas_tpu" by Pallas' interpreter: (implementation, max_shift).
PROGRAMS = {
    "xla": ("xla", None),
    "xla_bounded": ("xla", BOUND),
    "pallas_tpu": ("pallas_tpu", BOUND),
}


@functools.cache
def program(implementation: str, max_shift, stride=STRIDE, quantize=False):
    """A compiled function: x, shift, dy -> y, dx, dshift. To be called in `pallas.on_cpu`."""
    f = functools.partial(
        shift3d,
        stride=stride,
        quantize=quantize,
        max_shift=max_shift,
        implementation=implementation,
    )

    def forward_and_gradients(x, shift, dy):
        y, vjp = jax.vjp(f, x, shift)
        return y, *vjp(dy)

    return jax.jit(forward_and_gradients)


def out_shape(shape, stride=STRIDE) -> tuple[int, ...]:
    sizes = [len(range(0, n, st)) for n, st in zip(shape[1:4], stride, strict=True)]
    return (shape[0], *sizes, shape[4])


def normals(shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def random_shift(bound, channels: int, seed: int = 1) -> np.ndarray:
    """Within the bounds, by axis, and off the whole numbers but in channel 0."""
    rng = np.random.default_rng(seed)
    limit = np.asarray(bound, np.float32)[:, None]
    shift = rng.uniform(-limit, limit, (3, channels)).astype(np.float32)
    shift[:, 0] = np.floor(shift[:, 0]) + (shift[:, 0] < 0)  # towards zero
    return shift


def read(x: np.ndarray, taps, stride) -> np.ndarray:
    """`y[t, h, w] = x[t*st + taps[0], h*sh + taps[1], w*sw + taps[2]]`, zero outside."""
    inside = np.ones((), bool)
    for axis, (tap, st) in enumerate(zip(taps, stride, strict=True), start=1):
        n = x.shape[axis]
        places = np.arange(0, n, st) + tap
        x = np.take(x, np.clip(places, 0, n - 1), axis=axis)
        inside = inside[..., None] & (places >= 0) & (places < n)
    return np.where(inside[None], x, np.zeros((), x.dtype))


def spread(dy: np.ndarray, taps, stride, shape) -> np.ndarray:
    """The transpose of `read`, place by place."""
    dx = np.zeros(shape, dy.dtype)
    for place in np.ndindex(*dy.shape[1:4]):
        source = np.multiply(place, stride) + taps
        if all(source >= 0) and all(source < shape[1:4]):
            dx[:, *source] += dy[:, *place]
    return dx


def corners(s, sizes):
    """The eight (weight, taps) of one channel's shift."""
    limit = np.asarray(sizes) + 1.0  # all beyond is zero
    s = np.clip(s.astype(np.float64), -limit, limit)
    low = np.floor(s)
    for up in itertools.product((0, 1), repeat=3):
        weight = np.prod(np.where(up, s - low, low + 1 - s))
        yield weight, (low + up).astype(int)


def by_corners(x, shift, stride) -> np.ndarray:
    x = np.asarray(x, np.float64)
    y = np.zeros(out_shape(x.shape, stride))
    for c in range(x.shape[-1]):
        for weight, taps in corners(shift[:, c], x.shape[1:4]):
            y[..., c] += weight * read(x[..., c], taps, stride)
    return y


def dx_by_corners(dy, shift, stride, shape) -> np.ndarray:
    dy = np.asarray(dy, np.float64)
    dx = np.zeros(shape)
    for c in range(shape[-1]):
        for weight, taps in corners(shift[:, c], shape[1:4]):
            dx[..., c] += weight * spread(dy[..., c], taps, stride, shape[:4])
    return dx


def right_derivative(x, shift, dy, stride) -> np.ndarray:
    """Along an axis y is linear from a shift to the next whole number on its right."""
    shift = shift.astype(np.float64)
    y = by_corners(x, shift, stride)
    rows = []
    for axis in range(3):
        right = shift.copy()
        right[axis] = np.floor(shift[axis]) + 1
        slope = (by_corners(x, right, stride) - y) / (right - shift)[axis]
        rows.append(np.sum(np.asarray(dy, np.float64) * slope, axis=(0, 1, 2, 3)))
    return np.stack(rows)


def close_sums(actual, expected, terms) -> None:
    """Sums of n terms in float32: their rounding errors add up like a random walk."""
    atol = 4 * np.finfo(np.float32).eps * np.sqrt(np.size(terms)) * np.abs(terms).max()
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=atol)


def close_values(actual, expected) -> None:
    """Weighted means of eight values: a few roundings in float32, then one to the dtype."""
    actual = np.asarray(actual)
    narrow = actual.dtype != np.float32
    scale = np.nanmax(np.abs(expected), initial=1)
    np.testing.assert_allclose(
        actual.astype(np.float64),
        expected,
        rtol=2.0**-8 if narrow else 0,  # half a unit in bfloat16's last place
        atol=8 * np.finfo(np.float32).eps * scale,
    )
