"""The TPU kernels' bodies where a shift and the product after it are one.

A grid step has a tile of x's channels and a block of rows, as in `tpu_kernels`. What is
multiplied is in float32 in VMEM, `[places, N, lanes]`, and is rounded to x's dtype on its
way to the matrix unit; N is a whole number of sublane tiles, so that places and frames
become the rows of a product without being moved.
"""

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from vidshift.kernels.interpolated.tpu_kernels import (
    backward_taps,
    gradients,
    shift_rows,
)
from vidshift.kernels.interpolated_conv.tpu_plan import ConvPlan


def conv_forward_kernel(
    aw, ah, at, weight_ref, affine_ref, *refs, plan: ConvPlan, whole: bool, relu: bool
):
    """The channels' tiles are the last axis of the grid; the last of them multiplies."""
    *x_refs, y_ref, u_ref, row_ref, shifted_ref = refs
    block, tile = pl.program_id(1), pl.program_id(2)
    columns = plan.rows.sizes_out[1]

    def store(o, i, y):
        shifted_ref[tile, o * columns + i] = y

    taps = [a.at[tile] for a in (aw, ah, at)]
    shift_rows(taps, x_refs, u_ref, row_ref, block, plan.rows, whole, store)

    @pl.when(tile == plan.tiles - 1)
    def _():
        together = plan.together(plan.places)

        @pl.loop(0, plan.places // together)
        def _(n):
            places = pl.ds(n * together, together)
            y = 0
            for k in range(plan.tiles):
                rows = _as_rows(shifted_ref[k, places])
                if k == plan.tiles - 1:
                    rows = _known_lanes(rows, plan)
                y += _product(rows.astype(weight_ref.dtype), weight_ref[k], (1, 0))
            y = y * affine_ref[0:1] + affine_ref[1:2]
            y = jnp.maximum(y, 0) if relu else y
            y = y.reshape(together, plan.rows.sublanes, plan.outputs)
            y_ref[0, places] = y.astype(y_ref.dtype)


def conv_backward_kernel(*refs, plan: ConvPlan, whole: bool):
    """dx, and sums over the whole grid: the gradients of the shift and of the weight.

    What comes back through the product, dz, is made of a block's dy and its halo, and is
    dy to the shift's own backward pass; y of the shift is made there too, for the
    weight's gradient.
    """
    rows = plan.rows
    taps_count = backward_taps(whole)
    taps, (frame_taps, weight_ref, *refs) = refs[:taps_count], refs[taps_count:]
    halos = 3 if rows.blocks > 1 else 1
    x_count, dy_count = (halos if r[1] else 1 for r in (rows.reach, rows.back))
    x_refs, dy_refs, refs = refs[:x_count], refs[x_count:][:dy_count], refs[x_count:]
    dx_ref, dshift_ref, dweight_ref, *scratch = refs[dy_count:]
    *scratch, dz_ref, shifted_ref = scratch
    *scratch, moved_ref = scratch if whole else (*scratch, None)
    block, tile = pl.program_id(1), pl.program_id(2)
    columns = rows.sizes_out[1]
    _product_back(dy_refs, weight_ref.at[tile], dz_ref, block, plan)

    def each_dy_row(body):
        back = rows.back[1]
        parts = [(back, rows.rows, True)]
        if rows.blocks > 1 and back:
            parts += [(0, back, False), (back + rows.rows, back, False)]
        for start, count, own in parts:

            @pl.loop(0, count)
            def _(j, start=start, own=own):
                first = (start + j) * columns
                body(lambda i: dz_ref[first + i], j if own else None, start + j)

    def store(o, i, y):
        shifted_ref[o * columns + i] = y

    sums = gradients(
        [t.at[tile] for t in taps],
        x_refs,
        each_dy_row,
        dx_ref,
        scratch,
        block,
        rows,
        whole,
        (frame_taps.at[tile], store, moved_ref),
    )

    @pl.when((pl.program_id(0) == 0) & (block == 0))
    def _():
        dshift_ref[0, tile] = jnp.zeros(dshift_ref.shape[2:], jnp.float32)
        dweight_ref[0, tile] = jnp.zeros(dweight_ref.shape[2:], jnp.float32)

    for axis, sum_ in enumerate(sums):
        dshift_ref[0, tile, axis] += jnp.sum(sum_, axis=0)

    dy_ref = dy_refs[len(dy_refs) // 2]
    together = plan.together(plan.places)

    @pl.loop(0, plan.places // together)
    def _(n):
        places = pl.ds(n * together, together)
        dy = dy_ref[0, places]
        if rows.sizes_out[0] % rows.rows:
            dy = _on_map(dy, block * plan.places + n * together, plan)
        z = _as_rows(shifted_ref[places]).astype(dy.dtype)
        dweight_ref[0, tile] += _product(z, _as_rows(dy), (0, 0))


def _product_back(dy_refs, weight_ref, dz_ref, block, plan: ConvPlan) -> None:
    """dz: dy times the weight's transpose, zero outside the map."""
    rows, columns = plan.rows, plan.rows.sizes_out[1]
    back = rows.back[1]
    main = len(dy_refs) // 2
    parts = [(dy_refs[main], rows.rows, back, rows.sizes_out[0] % rows.rows > 0)]
    if main:
        parts += [(dy_refs[0], back, 0, True)]
        parts += [(dy_refs[2], back, back + rows.rows, True)]
    for ref, count, start, partly in parts:
        together = plan.together(count * columns)

        @pl.loop(0, count * columns // together)
        def _(n, ref=ref, start=start, partly=partly, together=together):
            first = n * together
            dy = _as_rows(ref[0, pl.ds(first, together)])
            dz = _product(dy, weight_ref[...], (1, 0))
            dz = dz.reshape(together, rows.sublanes, plan.lanes)
            if partly:
                number = (block * rows.rows - back + start) * columns + first
                dz = _on_map(dz, number, plan)
            dz_ref[pl.ds(start * columns + first, together)] = dz


def _as_rows(places):
    """`[places, N, lanes]` -> `[places * N, lanes]`."""
    return places.reshape(-1, places.shape[-1])


def _product(a, b, contracted: tuple[int, int]):
    dims = (((contracted[0],), (contracted[1],)), ((), ()))
    return jax.lax.dot_general(a, b, dims, preferred_element_type=jnp.float32)


def _known_lanes(rows, plan: ConvPlan):
    """Zero in the lanes of a last tile that are no channels: a block has anything there."""
    left = plan.rows.channels - (plan.tiles - 1) * plan.lanes
    if left == plan.lanes:
        return rows
    lane = jax.lax.broadcasted_iota(jnp.int32, rows.shape, 1)
    return jnp.where(lane < left, rows, 0)


def _on_map(places, number, plan: ConvPlan):
    """Zero where places, from `number` on of all of y's, are not on the map."""
    at = number + jax.lax.broadcasted_iota(jnp.int32, places.shape, 0)
    inside = (at >= 0) & (at < plan.rows.sizes_out[0] * plan.rows.sizes_out[1])
    return jnp.where(inside, places, jnp.zeros((), places.dtype))
