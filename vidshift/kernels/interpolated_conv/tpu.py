"""The interpolated shift and the product after it on a TPU, in one Pallas kernel each way.

Features lie as in `vidshift.kernels.interpolated.tpu`: `[G, H, W, N, C]`, with channels in lanes.
A block of shifted rows never leaves VMEM: going forward it is multiplied there; going
back, the product's gradient in the shifted rows is made there, halo included, and the
shifted rows are made again for the weight's gradient. Forward x is read and y written
once, backward x and dy are read and dx is written, but for halos; the sums over places
stay in VMEM until the end.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from vidshift.kernels.interpolated import tpu
from vidshift.kernels.interpolated.arguments import ShiftSpec
from vidshift.kernels.interpolated.reference import spread
from vidshift.kernels.interpolated.taps import nearest
from vidshift.kernels.interpolated.tpu_plan import VMEM_BYTES
from vidshift.kernels.interpolated_conv.tpu_kernels import (
    conv_backward_kernel,
    conv_forward_kernel,
)
from vidshift.kernels.interpolated_conv.tpu_plan import ConvPlan, make_conv_plan


def unsupported(x, spec: ShiftSpec) -> str | None:
    """The reason why a call cannot run here, or None."""
    call = x, spec.out_channels, spec.stride, spec.max_shift
    why = tpu.no_plan(spec, lambda backward: _plan(*call, backward))
    return f"{why} and {spec.out_channels} outputs" if why and spec.max_shift else why


def forward(x, shift, weight, scale, bias, *, stride, max_shift, whole, relu):
    """Computes the reference's `forward`."""
    plan = _plan(x, weight.shape[1], stride, max_shift, backward=False)
    rows = plan.rows
    shift = nearest(shift) if whole else shift
    step, tile = (lambda g, h, c: (g, h, c)), (rows.sublanes, plan.lanes)
    inputs = [
        *_resident(
            *_tiled_taps(tpu.forward_taps(shift, rows), plan),
            _rows_of_tiles(weight, plan),
            jnp.stack([scale, bias]),
        ),
        *_blocks(tpu.grouped(x, rows), rows.reach[1], rows, tile, step),
    ]
    places = rows.sizes_out[0] * rows.sizes_out[1]
    y = jax.ShapeDtypeStruct(
        (rows.groups, places, rows.sublanes, plan.outputs), x.dtype
    )
    y_spec = pl.BlockSpec(
        (1, plan.places, rows.sublanes, plan.outputs), lambda g, h, c: (g, h, 0, 0)
    )
    y = pl.pallas_call(
        functools.partial(conv_forward_kernel, plan=plan, whole=whole, relu=relu),
        grid=(rows.groups, rows.blocks, plan.tiles),
        in_specs=[spec for spec, _ in inputs],
        out_specs=y_spec,
        out_shape=y,
        scratch_shapes=_scratch(
            [*tpu.forward_scratch(rows), (plan.tiles, plan.places)], tile
        ),
        compiler_params=_parameters("parallel", "parallel", "arbitrary"),
        cost_estimate=_cost(x, y, 4 * (sum(rows.reach) + 3), 2),
        name="shift3d_conv_forward_pallas_tpu",
    )(*[array for _, array in inputs])
    y = y.reshape(rows.groups, *rows.sizes_out, rows.sublanes, plan.outputs)
    return tpu.ungrouped(y, rows)[:, :: stride[0]]


def backward(x, shift, weight, dy, *, stride, max_shift, whole):
    """Computes the reference's `backward`, with one part of each sum."""
    plan = _plan(x, weight.shape[1], stride, max_shift, backward=True)
    rows = plan.rows
    dy = tpu.grouped(spread(dy, 1, stride[0], x.shape[1]), rows)
    dy = dy.reshape(rows.groups, -1, rows.sublanes, plan.outputs)
    step, tile = (lambda g, h, c: (g, h, c)), (rows.sublanes, plan.lanes)
    moved = nearest(shift) if whole else shift
    taps = tpu.backward_taps(shift, rows, whole)
    taps.append(tpu.frame_taps(moved[0], rows, towards=1))
    inputs = [
        *_resident(
            *_tiled_taps(taps, plan),
            _rows_of_tiles(weight, plan).transpose(0, 2, 1),
        ),
        *_blocks(tpu.grouped(x, rows), rows.reach[1], rows, tile, step),
        *_flat_blocks(dy, plan),
    ]
    dx = jax.ShapeDtypeStruct(
        (rows.groups, *rows.sizes, rows.sublanes, rows.channels), x.dtype
    )
    dx_spec = pl.BlockSpec(
        (1, rows.rows * rows.stride[0], rows.sizes[1], *tile),
        lambda g, h, c: (g, h, 0, 0, c),
    )
    sums = [
        jax.ShapeDtypeStruct((1, plan.tiles, *shape), jnp.float32)
        for shape in ((3, plan.lanes), (plan.lanes, plan.outputs))
    ]
    columns = rows.sizes_out[1]
    scratch = [
        *tpu.backward_scratch(rows, whole),
        *(tpu.forward_scratch(rows)[:1] if whole else []),
        ((rows.rows + 2 * rows.back[1]) * columns,),  # dz
        (plan.places,),  # the shifted x
    ]
    dx, dshift, dweight = pl.pallas_call(
        functools.partial(conv_backward_kernel, plan=plan, whole=whole),
        grid=(rows.groups, rows.blocks, plan.tiles),
        in_specs=[spec for spec, _ in inputs],
        out_specs=[dx_spec, *(spec for spec, _ in _resident(*sums))],
        out_shape=[dx, *sums],
        scratch_shapes=_scratch(scratch, tile),
        # In order: the sums are kept from step to step.
        compiler_params=_parameters("arbitrary", "arbitrary", "arbitrary"),
        cost_estimate=_cost(x, dy, 24 * (sum(rows.reach) + 3), 4),
        name="shift3d_conv_backward_pallas_tpu",
    )(*[array for _, array in inputs])
    channels = rows.channels
    dshift = dshift.transpose(0, 2, 1, 3).reshape(1, 3, -1)[..., :channels]
    dweight = dweight.reshape(1, -1, plan.outputs)[:, :channels]
    return tpu.ungrouped(dx, rows), dshift, dweight


def _plan(x, outputs, stride, max_shift, backward) -> ConvPlan:
    # Of strided frames all are computed; networks of this kind keep them.
    stride = (1, *stride[1:])
    return make_conv_plan(
        x.shape, outputs, x.dtype.itemsize, stride, max_shift, backward=backward
    )


def _tiled_taps(taps, plan: ConvPlan):
    """`[k, N, C]` -> `[tiles, k, N, lanes]`."""
    left = plan.tiles * plan.lanes - plan.rows.channels
    tiled = []
    for t in taps:
        t = jnp.pad(t, [(0, 0), (0, 0), (0, left)])
        tiled.append(t.reshape(*t.shape[:2], plan.tiles, -1).transpose(2, 0, 1, 3))
    return tiled


def _rows_of_tiles(weight, plan: ConvPlan):
    """`[C, K]` -> `[tiles, lanes, K]`, zero in rows that are no channels."""
    left = plan.tiles * plan.lanes - plan.rows.channels
    return jnp.pad(weight, [(0, left), (0, 0)]).reshape(plan.tiles, plan.lanes, -1)


def _resident(*arrays):
    """(spec, array) of what stays in VMEM through the whole grid."""

    def spec(array):
        first = (0,) * len(array.shape)
        return pl.BlockSpec(array.shape, lambda g, h, c: first)

    return [(spec(a), a) for a in arrays]


def _blocks(x, halo, plan, tile, order):
    rows = tpu.Rows(x, plan.rows * plan.stride[0], halo)
    return [(spec, x) for spec in tpu.row_specs(rows, plan, tile, order)]


def _flat_blocks(dy, plan: ConvPlan):
    """Blocks of rows of `[G, H * W, N, K]`, and those of their halo."""
    rows = plan.rows
    height, width = rows.sizes_out

    def spec(count, number):
        shape = (1, count * width, rows.sublanes, plan.outputs)
        return pl.BlockSpec(shape, lambda g, h, c: (g, number(h), 0, 0))

    specs = [spec(rows.rows, lambda h: h)]
    if rows.blocks > 1 and rows.back[1]:
        before, after = tpu.halo_blocks(height, rows.rows, rows.back[1])
        specs = [spec(rows.back[1], before), *specs, spec(rows.back[1], after)]
    return [(s, dy) for s in specs]


def _scratch(shapes, tile):
    return [pltpu.VMEM((*s, *tile), jnp.float32) for s in shapes]


def _parameters(*semantics):
    return pltpu.CompilerParams(
        dimension_semantics=semantics,
        # More than the plan counts: a rounded shift keeps more.
        vmem_limit_bytes=VMEM_BYTES * 4 // 3,
    )


def _cost(x, y, flops_an_element: int, products: int):
    arrays = [x, y] + ([x] if products > 2 else [])
    return pl.CostEstimate(
        flops=flops_an_element * x.size + products * y.size * x.shape[-1],
        transcendentals=0,
        bytes_accessed=sum(a.size * a.dtype.itemsize for a in arrays),
    )
