"""Blocks into which the TPU kernels of a shift and its product cut a call.

Rows are cut as in `vidshift.kernels.interpolated.tpu_plan`, with all K outputs of a place together:
the channels of x come one tile of lanes after another, and their weights stay in VMEM.
"""

import math
from typing import NamedTuple

from vidshift.kernels.interpolated.tpu_plan import LANES, Plan, choose_plan, step_cost

# Rows of a product: enough to hide loading the matrix unit's other operand, few enough
# that the compiler's text, which has every tile of them, stays short.
PRODUCT_ROWS = 512


class ConvPlan(NamedTuple):
    rows: Plan
    outputs: int  # K

    @property
    def lanes(self) -> int:
        """Channels of x in a block."""
        return min(LANES, self.rows.channels)

    @property
    def tiles(self) -> int:
        return -(-self.rows.channels // LANES)

    @property
    def places(self) -> int:
        """Places of y in a block."""
        return self.rows.rows * self.rows.sizes_out[1]

    def together(self, places: int) -> int:
        """Number of places, of `places`, that are multiplied at once."""
        most = max(1, PRODUCT_ROWS // self.rows.sublanes)
        return max(n for n in range(1, most + 1) if places % n == 0)


def make_conv_plan(
    shape, outputs: int, itemsize: int, stride, max_shift, *, backward: bool
) -> ConvPlan:
    """Raises ValueError where nothing fits in VMEM."""
    plan = choose_plan(
        shape,
        stride,
        max_shift,
        backward=backward,
        vmem=lambda rows: _vmem(ConvPlan(rows, outputs), itemsize, backward),
        cost=lambda rows: _cost(ConvPlan(rows, outputs), itemsize, backward),
    )
    return ConvPlan(plan, outputs)


def moved_bytes(plan: ConvPlan, itemsize: int, backward: bool) -> int:
    """Bytes that all grid steps fetch and store, without the weights."""
    x, y = _blocks(plan, itemsize, backward)
    return plan.rows.groups * plan.rows.blocks * (plan.tiles * x + y)


def _blocks(plan: ConvPlan, itemsize: int, backward: bool) -> tuple[int, int]:
    """Bytes of a grid step's blocks of x, and dx, and of those of y, or dy."""
    rows = plan.rows
    rows_in = rows.rows * rows.stride[0]
    halo_in, halo_out = (2 * r[1] * (rows.blocks > 1) for r in (rows.reach, rows.back))
    x = rows_in * (2 if backward else 1) + halo_in
    y = rows.rows + (halo_out if backward else 0)
    row = rows.sublanes * itemsize
    return (
        x * rows.sizes[1] * row * LANES,
        y * rows.sizes_out[1] * row * _whole_lanes(plan.outputs),
    )


def _cost(plan: ConvPlan, itemsize: int, backward: bool) -> float:
    steps = plan.rows.groups * plan.rows.blocks * plan.tiles
    first = sum(_blocks(plan, itemsize, backward))
    return step_cost(steps, first, moved_bytes(plan, itemsize, backward))


def _vmem(plan: ConvPlan, itemsize: int, backward: bool) -> int:
    rows = plan.rows
    tile = rows.sublanes * LANES * 4
    outputs = _whole_lanes(plan.outputs)
    taps = sum(2 * r + 1 for r in rows.reach) + (14 if backward else 0)
    weights = LANES * outputs * (itemsize + (4 if backward else 0))
    kept = rows.rows * rows.stride[0] + 2 * rows.reach[1]
    if backward:
        out = rows.rows + 2 * rows.back[1]
        kept += (
            rows.rows * rows.stride[0] + 2 * out + rows.rows
        )  # D_w x, dz, e, D_t' dy
        kept += rows.rows
    else:
        kept += plan.tiles * rows.rows
    product = PRODUCT_ROWS * (outputs + LANES) * 4
    return (
        2 * sum(_blocks(plan, itemsize, backward))
        + 2 * plan.tiles * (taps * tile + weights)
        + kept * rows.sizes_out[1] * tile
        + 2 * math.ceil(product)
    )


def _whole_lanes(n: int) -> int:
    return -(-n // LANES) * LANES
