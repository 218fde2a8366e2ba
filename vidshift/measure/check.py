"""Errors of the kernels here: each implementation beside `xla` in float32."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vidshift.kernels import bench
from vidshift.kernels.analysis.cases import OPERATIONS, Case
from vidshift.kernels.analysis.compiling import compile_all
from vidshift.kernels.analysis.shapes import ONE, SHAPES, Shape
from vidshift.measure.parts import Settings

REFERENCE = "reference"
FIRST = ("tsm_56", "tsm_14", "rubiks_56", "rubiks_14", "rubiks_28_stride")
CHOSEN = "none named"  # what runs where a caller names none


def _shift(name: str, x: tuple, **options) -> Shape:
    return Shape(name, x, {"stride": (1, 1, 1), "max_shift": ONE} | options)


# One frame, one clip, odd sizes and channels, rounded, far and unbounded shifts.
SHIFT3D = (
    _shift("one_frame", (2, 1, 7, 9, 8)),
    _shift("odd", (3, 5, 7, 11, 13)),
    _shift("many_frames", (1, 19, 6, 5, 10)),
    _shift("strided", (2, 8, 9, 12, 20), stride=(1, 2, 2)),
    _shift("rounded", (2, 8, 9, 12, 20), quantize=True),
    _shift("far", (2, 8, 10, 9, 6), max_shift=(2.0, 3.0, 3.0)),
    _shift("unbounded", (2, 6, 10, 9, 6), max_shift=None),
    _shift("rounded_unbounded", (2, 6, 9, 9, 7), max_shift=None, quantize=True),
)
EDGES = {
    "shift3d": SHIFT3D,
    "shift3d_conv": tuple(s._replace(out_channels=18) for s in SHIFT3D),
    "temporal_shift": (
        Shape("one_frame", (2, 1, 7, 9, 8), {"fold": 2}),
        Shape("odd", (3, 5, 7, 3, 13), {"fold": 3}),
        Shape("past", (2, 8, 6, 5, 24), {"fold": 3, "direction": "past"}),
    ),
    "temporal_shift_conv": (
        Shape("one_frame", (2, 1, 7, 9, 8), {"fold": 2}, 12),
        Shape("odd", (3, 5, 7, 3, 13), {"fold": 3}, 7),
        Shape("past", (2, 8, 6, 5, 24), {"fold": 3, "direction": "past"}, 130),
    ),
}
# Of the norm of the difference, over the reference's. Rounding to bfloat16 is 2e-3, twice
# in a product; of float32 factors a GPU multiplies 10 bits (TF32), a TPU 7.
BFLOAT16, PRODUCTS, EXACT = 1e-2, 5e-3, 1e-5
PERIOD = 4_194_301  # a prime, so that rows and frames differ
# An implementation may also be so many times as far off as `xla` in its own dtype.
TIMES_XLA = 3


class Check(NamedTuple):
    op: str
    shape: Shape
    dtype: str

    @property
    def affine(self) -> bool:
        """Tells if scale, bias and ReLU follow the convolution, as at the edge shapes."""
        return bool(self.shape.out_channels) and self.shape in EDGES[self.op]

    @property
    def results(self) -> tuple[str, ...]:
        return ("y", *(f"d{name}" for name in self.primals()))

    def key(self, implementation: str) -> str:
        return f"{self.op} {self.shape.name} {self.dtype} {implementation}"

    def primals(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and dtypes of what is differentiated."""
        case = Case(self.op, "xla", "forward", self.shape, self.dtype)
        primals = case.primals()
        if self.affine:
            outputs = jax.ShapeDtypeStruct((self.shape.out_channels,), jnp.float32)
            primals |= {"scale": outputs, "bias": outputs}
        return primals

    def function(self, implementation: str):
        """Returns `(*primals, dy) -> (y, *gradients)`."""
        names = tuple(self.primals())
        named = None if implementation == CHOSEN else implementation

        def forward(*arrays):
            given = dict(zip(names, arrays, strict=True))
            affine = {n: given.pop(n) for n in ("scale", "bias") if n in given}
            options = self.shape.options | affine | ({"relu": True} if affine else {})
            call = OPERATIONS[self.op].function
            return call(*given.values(), implementation=named, **options)

        def values_and_gradients(*arrays):
            *primals, dy = arrays
            y, vjp = jax.vjp(forward, *primals)
            return y, *vjp(dy)

        return values_and_gradients

    def inputs(self) -> tuple[jax.Array, ...]:
        """Draws the primals and dy; weights are rounded to the dtype beforehand."""
        rng = np.random.default_rng(0)
        primals = self.primals()
        arrays = {n: rng.normal(size=a.shape) for n, a in primals.items() if n != "x"}
        arrays["x"] = self._features(rng, primals["x"].shape)
        if "shift" in primals:
            bounds = self.shape.options["max_shift"] or (2.5, 2.5, 2.5)
            shift = np.array(bounds)[:, None] * rng.uniform(
                -1, 1, (primals["shift"].shape)
            )
            # Whole numbers, where a gradient is the derivative to the right.
            shift[:, :3] = (0, 1, -1)
            arrays["shift"] = shift
        if "weight" in primals:
            arrays["weight"] /= math.sqrt(primals["weight"].shape[0])
            arrays["weight"] = arrays["weight"].astype(self.dtype)
        if self.affine:
            # Far from where the ReLU's gradient jumps, on either side.
            arrays["bias"] = np.where(np.arange(self.shape.out_channels) % 2, 5.0, -5.0)
            arrays["scale"] = rng.uniform(0.5, 1.0, arrays["scale"].shape)
        given = [jnp.asarray(arrays[n], a.dtype) for n, a in primals.items()]
        return *given, jnp.asarray(self._features(rng, self.dy(primals.values()).shape))

    def _features(self, rng: np.random.Generator, shape: tuple) -> np.ndarray:
        """Draws normal numbers, which repeat: a GPU's are many for a host to draw."""
        drawn = rng.standard_normal(min(math.prod(shape), PERIOD), np.float32)
        return np.resize(drawn.astype(self.dtype), shape)

    def dy(self, primals) -> jax.ShapeDtypeStruct:
        """Returns the shape and dtype of the values, and so of their gradient."""
        case = Case(self.op, "xla", "forward", self.shape, self.dtype)
        given = list(primals)[: len(case.primals())]  # without scale and bias
        return jax.eval_shape(case.function(), *given)

    def arguments(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        primals = tuple(self.primals().values())
        return *primals, self.dy(primals)

    def tolerance(self) -> float:
        if self.dtype == "bfloat16":
            return BFLOAT16
        return PRODUCTS if self.shape.out_channels else EXACT


def checks(settings: Settings) -> list[Check]:
    """Returns what is checked, the networks' own shapes and the edges first."""
    if settings.small:
        return [Check(o, s, "bfloat16") for o in EDGES for s in EDGES[o][:3]]
    named = [Check(o, s, settings.dtype) for o in SHAPES for s in SHAPES[o]]
    first = [check for check in named if check.shape.name in FIRST]
    bfloat16, float32 = (
        [Check(o, s, dtype) for o in EDGES for s in EDGES[o]]
        for dtype in ("bfloat16", "float32")
    )
    return [*first, *bfloat16, *(c for c in named if c not in first), *float32]


def implementations(check: Check, platform: str) -> list[str]:
    """Returns what runs here; `xla` first, which the others may be as far off as."""
    operation = OPERATIONS[check.op].operation
    cases = [
        Case(check.op, name, "forward", check.shape, check.dtype)
        for name in operation.names
    ]
    here = [c.implementation for c in cases if not bench.not_here(c, platform)]
    # What a caller cannot name is reached by naming none.
    unnamed = any(not row.named for row in operation.implementations.values())
    return here + ([CHOSEN] if unnamed else [])


def keys(settings: Settings) -> list[str]:
    return [
        check.key(name)
        for check in checks(settings)
        for name in implementations(check, settings.platform)
    ]


def rows(settings: Settings, missing: set[str]) -> Iterator[dict]:
    programs, wanted = [], None
    for check in checks(settings):
        names = implementations(check, settings.platform)
        if any(check.key(name) in missing for name in names):
            programs += [
                ((check, name), _lower(check, name)) for name in [REFERENCE, *names]
            ]
    for (check, name), program in compile_all(programs):
        try:
            if isinstance(program, Exception):
                raise program
            if name == REFERENCE:
                wanted = errors_of_xla = None
                arrays = check.inputs()
                wanted = program(*(a.astype(jnp.float32) for a in arrays))
                continue
            if wanted is None:
                raise RuntimeError("nothing to compare with: xla in float32 failed")
            errors = relative_errors(program(*arrays), wanted)
            if name == "xla":
                errors_of_xla = errors
            found = verdict(check, errors, errors_of_xla or [0.0] * len(errors))
        except NotImplementedError as error:
            found = {"not_here": str(error)}
        except Exception as error:  # noqa: BLE001  a kernel's fault is its own row's
            found = {"failed": f"{type(error).__name__}: {error}"[:300]}
        if name != REFERENCE:
            yield {
                "key": check.key(name),
                "op": check.op,
                "shape": check.shape.name,
                "x": check.shape.x,
                "dtype": check.dtype,
                "implementation": name,
            } | found


def verdict(check: Check, errors: list[float], of_xla: list[float]) -> dict:
    """Returns the fields of a row that was computed; an error of None is no number."""
    limits = [max(check.tolerance(), TIMES_XLA * e) for e in of_xla]
    right = [e <= limit for e, limit in zip(errors, limits, strict=True)]
    finite = [e if math.isfinite(e) else None for e in errors]
    return {
        "errors": dict(zip(check.results, finite, strict=True)),
        "tolerance": check.tolerance(),
        "wrong": [n for n, ok in zip(check.results, right, strict=True) if not ok],
    }


@jax.jit
def _relative(result, wanted):
    norm = lambda a: jnp.sqrt(jnp.sum(jnp.square(a)))
    result, wanted = result.astype(jnp.float32), wanted.astype(jnp.float32)
    size = norm(wanted)
    return norm(result - wanted) / jnp.where(size == 0, 1, size)


def relative_errors(results, wanted) -> list[float]:
    """Returns the norm of each result's error, over that of the right one."""
    return [float(_relative(r, w)) for r, w in zip(results, wanted, strict=True)]


def _lower(check: Check, name: str):
    def lower():
        arguments = check.arguments()
        if name != REFERENCE:
            return jax.jit(check.function(name)).lower(*arguments)
        arguments = [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in arguments]
        with jax.default_matmul_precision("highest"):
            return jax.jit(check.function("xla")).lower(*arguments)

    return lower
