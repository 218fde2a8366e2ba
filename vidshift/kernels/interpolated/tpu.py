"""The interpolated shift on a TPU: Pallas kernels that read each byte about once.

Inside, features are `[G, H, W, N, C]`: rows and columns of the map are plain indices, so
a spatial tap is a load from elsewhere in VMEM; the N frames of a group of clips lie in
sublanes, so a temporal tap is a rotation of sublanes whose weights are zero where a clip
ends; channels lie in lanes, so each has its own weights. With 8 frames that is the order
in which XLA by itself keeps such features between 1x1 convolutions, and the transposes
around the kernels then move nothing.

The taps of an axis are a window of `2 * ceil(max_shift) + 1` multiply-adds. Rows of the
map come in blocks, with the rows that the window reads beyond them as blocks of their own.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from vidshift.kernels.interpolated.arguments import ShiftSpec
from vidshift.kernels.interpolated.reference import spread
from vidshift.kernels.interpolated.taps import hat, nearest
from vidshift.kernels.interpolated.tpu_kernels import backward_kernel, forward_kernel
from vidshift.kernels.interpolated.tpu_plan import LANES, VMEM_BYTES, Plan, make_plan


def unsupported(x, spec: ShiftSpec) -> str | None:
    """The reason why a call cannot run here, or None."""
    call = x.shape, x.dtype.itemsize, spec.stride, spec.max_shift
    return no_plan(spec, lambda backward: make_plan(*call, backward=backward))


def no_plan(spec: ShiftSpec, plan) -> str | None:
    """The reason why `plan(backward)` has no blocks for a call, or None."""
    if spec.max_shift is None:
        return "needs max_shift: its work and its halo are those of a bounded window"
    try:
        plan(False), plan(True)
    except ValueError as error:
        return str(error)
    return None


def forward(x, shift, *, stride, max_shift, whole):
    """Computes `reference.forward`."""
    frame_stride, stride = stride[0], (1, *stride[1:])
    plan = make_plan(x.shape, x.dtype.itemsize, stride, max_shift, backward=False)
    taps = forward_taps(nearest(shift) if whole else shift, plan)
    y = _call(
        functools.partial(forward_kernel, plan=plan, whole=whole),
        "shift3d_forward_pallas_tpu",
        plan,
        taps,
        inputs=[Rows(grouped(x, plan), plan.rows * stride[1], plan.reach[1])],
        outputs=[(plan.sizes_out, plan.rows, x.dtype)],
        scratch=forward_scratch(plan),
        flops_an_element=4 * (sum(plan.reach) + 3),
    )[0]
    return ungrouped(y, plan)[:, ::frame_stride]


def backward(x, shift, dy, *, stride, max_shift, whole):
    """Computes `reference.backward`, with a part of dshift for each group of clips."""
    frame_stride, stride = stride[0], (1, *stride[1:])
    plan = make_plan(x.shape, x.dtype.itemsize, stride, max_shift, backward=True)
    dy = spread(dy, 1, frame_stride, x.shape[1])
    taps = backward_taps(shift, plan, whole)
    dx, parts = _call(
        functools.partial(backward_kernel, plan=plan, whole=whole),
        "shift3d_backward_pallas_tpu",
        plan,
        taps,
        inputs=[
            Rows(grouped(x, plan), plan.rows * stride[1], plan.reach[1]),
            Rows(grouped(dy, plan), plan.rows, plan.back[1]),
        ],
        outputs=[(plan.sizes, plan.rows * stride[1], x.dtype), None],
        scratch=backward_scratch(plan, whole),
        flops_an_element=20 * (sum(plan.reach) + 3),
    )
    return ungrouped(dx, plan), parts


def grouped(x, plan: Plan):
    """`[B, T, H, W, C]` -> `[G, H, W, N, C]`; clips and frames that pad are zero."""
    pads = [
        (0, plan.groups * plan.clips - plan.batch),
        (0, plan.clip_rows - plan.frames),
        *[(0, 0)] * 3,
    ]
    x = jnp.pad(x, pads) if any(map(any, pads)) else x
    _, t, h, w, c = x.shape
    x = x.reshape(plan.groups, plan.clips, t, h, w, c)
    return x.transpose(0, 3, 4, 1, 2, 5).reshape(plan.groups, h, w, plan.sublanes, c)


def ungrouped(x, plan: Plan):
    g, h, w, _, c = x.shape
    x = x.reshape(g, h, w, plan.clips, plan.clip_rows, c).transpose(0, 3, 4, 1, 2, 5)
    x = x.reshape(g * plan.clips, plan.clip_rows, h, w, c)
    return x[: plan.batch, : plan.frames]


# Weights: tiles `[N, C]`, one a tap.


def forward_taps(shift, plan: Plan):
    return [
        map_taps(shift[2], plan.reach[2], plan),
        map_taps(shift[1], plan.reach[1], plan),
        frame_taps(shift[0], plan, towards=1),
    ]


def backward_taps(shift, plan: Plan, whole: bool):
    taps = [
        map_taps(shift[2], plan.reach[2], plan),
        map_taps(shift[1], plan.reach[1], plan),
        map_pair(shift[2], plan.reach[2], plan),
        map_pair(shift[1], plan.reach[1], plan),
        frame_pair(shift[0], plan),
    ]
    if whole:
        s = nearest(shift)
        taps += [
            map_taps(s[2], plan.reach[2], plan),
            map_taps(s[1], plan.reach[1], plan),
            frame_taps(s[0], plan, towards=-1),
        ]
    return taps


def map_taps(shift, reach, plan: Plan):
    """The hat's weights of the taps of a window along h or w."""
    k = jnp.arange(-reach, reach + 1, dtype=shift.dtype)[:, None]
    return _tiles(hat(shift[None], k), plan)


def frame_taps(shift, plan: Plan, *, towards: int):
    """The weights along t: zero where frame n + towards * k is not in the clip of frame n."""
    k = jnp.arange(-plan.reach[0], plan.reach[0] + 1, dtype=shift.dtype)
    taps = hat(shift[None], k[:, None])
    return taps[:, None] * _inside(towards * k, plan)[..., None]


def map_pair(shift, reach, plan: Plan):
    """Operands of the kernels' `_pair`: the lower of its two taps, and both weights."""
    low = _lower_tap(shift, reach)
    return _tiles(jnp.stack([low, 1 - (shift - low), shift - low]), plan)


def frame_pair(shift, plan: Plan):
    """The same along t, backwards, with the weights of a value and those of a slope."""
    low = _lower_tap(shift, plan.reach[0])
    first, second = (_inside(-(low + d), plan).T for d in (0, 1))
    upper = (shift - low)[None]
    weights = [(1 - upper) * first, upper * second, -first, second]
    return jnp.stack([jnp.broadcast_to(low[None], first.shape), *weights])


def _lower_tap(shift, reach):
    """floor, but for a shift at the window's end, whose upper tap is its last."""
    return jnp.clip(jnp.floor(shift), -reach, max(reach - 1, -reach))


def _inside(offset, plan: Plan):
    """1 where frame n + offset is in the clip of frame n: `[m]` -> `[m, N]`."""
    read = jnp.arange(plan.sublanes)[None] % plan.clip_rows + offset[:, None]
    return ((read >= 0) & (read < plan.clip_rows)).astype(jnp.float32)


def _tiles(weights, plan: Plan):
    return jnp.broadcast_to(
        weights[:, None], (len(weights), plan.sublanes, plan.channels)
    )


# What the kernels keep in VMEM, in tiles.


def forward_scratch(plan: Plan):
    return [
        (plan.rows * plan.stride[0] + 2 * plan.reach[1], plan.sizes_out[1]),
        (plan.sizes[1] + 2 * plan.reach[2],),
    ]


def backward_scratch(plan: Plan, whole: bool):
    rows_in, columns = plan.rows * plan.stride[0], plan.sizes_out[1]
    e, m = (plan.rows + 2 * plan.back[1], columns), (columns + 2 * plan.back[2],)
    return [
        *forward_scratch(plan),  # u, a row of x
        (rows_in, columns),  # D_w x
        e,
        m,
        (plan.rows, columns),  # D_t' dy
        *([e, m] if whole else []),
    ]


# The call.


class Rows(NamedTuple):
    """An input in blocks of rows, with the rows of its halo before and after."""

    array: jax.Array
    rows: int
    halo: int


def row_specs(rows: Rows, plan: Plan, tile, order):
    """Specs of a block of rows and, where several have a halo, of the rows before and after.

    `order` takes a step of the grid to (group, block of rows, tile of channels).
    """
    height, width = rows.array.shape[1:3]

    def spec(count, number):
        def index(*step):
            g, h, c = order(*step)
            return g, number(h), 0, 0, c

        return pl.BlockSpec((1, count, width, *tile), index)

    main = spec(rows.rows, lambda h: h)
    if plan.blocks == 1 or not rows.halo:
        return [main]
    before, after = halo_blocks(height, rows.rows, rows.halo)
    return [spec(rows.halo, before), main, spec(rows.halo, after)]


def halo_blocks(height: int, rows: int, halo: int):
    """Block of rows -> which of the blocks of `halo` rows is before it, and after it."""
    each, last = rows // halo, -(-height // halo) - 1
    return (
        lambda h: jnp.maximum(h * each - 1, 0),
        lambda h: jnp.minimum((h + 1) * each, last),
    )


def _call(kernel, name, plan, taps, *, inputs, outputs, scratch, flops_an_element):
    lanes = min(LANES, plan.channels)
    tile = (plan.sublanes, lanes)
    specs, arrays = [], []
    for weights in taps:
        specs.append(pl.BlockSpec((len(weights), *tile), lambda c, g, h: (0, 0, c)))
        arrays.append(weights)
    for rows in inputs:
        these = row_specs(rows, plan, tile, lambda c, g, h: (g, h, c))
        specs += these
        arrays += [rows.array] * len(these)
    out_specs, out_shapes = [], []
    for output in outputs:
        if output is None:  # the parts of the shift's gradient
            out_specs.append(pl.BlockSpec((1, 3, lanes), lambda c, g, h: (g, 0, c)))
            shape, dtype = (plan.groups, 3, plan.channels), jnp.float32
        else:
            (height, width), rows, dtype = output
            out_specs.append(
                pl.BlockSpec((1, rows, width, *tile), lambda c, g, h: (g, h, 0, 0, c))
            )
            shape = (plan.groups, height, width, plan.sublanes, plan.channels)
        out_shapes.append(jax.ShapeDtypeStruct(shape, dtype))
    moved = [i.array for i in inputs] + out_shapes
    return pl.pallas_call(
        kernel,
        # Channels first: the weights then stay while the clips pass.
        grid=(-(-plan.channels // LANES), plan.groups, plan.blocks),
        in_specs=specs,
        out_specs=out_specs,
        out_shape=out_shapes,
        scratch_shapes=[pltpu.VMEM((*s, *tile), jnp.float32) for s in scratch],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"),
            # More than the plan counts: a rounded shift keeps dy twice.
            vmem_limit_bytes=VMEM_BYTES * 4 // 3,
        ),
        cost_estimate=pl.CostEstimate(
            flops=flops_an_element * inputs[0].array.size,
            transcendentals=0,
            bytes_accessed=sum(a.size * a.dtype.itemsize for a in moved),
        ),
        name=name,
    )(*arrays)
