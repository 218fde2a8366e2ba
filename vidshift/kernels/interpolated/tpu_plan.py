"""Blocks that the TPU kernels cut a call into.

The map's rows come in blocks, each with the rows that its window reads beyond it.
"""

import math
from typing import NamedTuple

from vidshift.kernels.interpolated.taps import out_sizes, reach

LANES, SUBLANES = 128, 8
# Of v5e's and v6e's 128 MiB; v7x has 64.
VMEM_BYTES = 48 * 2**20
# What memory could move while a grid step starts (about 0.35 us).
STEP_BYTES = 300_000


class Plan(NamedTuple):
    batch: int
    frames: int
    channels: int
    sizes: tuple[int, int]  # H, W
    sizes_out: tuple[int, int]
    stride: tuple[int, int]  # of h, w
    reach: tuple[int, int, int]  # of x from a place of y: t, h, w
    back: tuple[int, int, int]  # of dy from a place of dx
    clips: int  # in a group
    clip_rows: int  # sublanes of a clip: its frames, or more
    rows: int  # of y in a block

    @property
    def groups(self) -> int:
        return -(-self.batch // self.clips)

    @property
    def sublanes(self) -> int:
        return self.clips * self.clip_rows

    @property
    def blocks(self) -> int:
        return -(-self.sizes_out[0] // self.rows)


def make_plan(shape, itemsize, stride, max_shift, *, backward: bool) -> Plan:
    return choose_plan(
        shape,
        stride,
        max_shift,
        backward=backward,
        vmem=lambda plan: _vmem(plan, itemsize, backward),
        cost=lambda plan: _cost(plan, itemsize, backward),
    )


def choose_plan(shape, stride, max_shift, *, backward: bool, vmem, cost) -> Plan:
    """The blocks of rows with the least `cost(plan)` whose `vmem(plan)` bytes there are."""
    batch, frames, height, width, channels = shape
    window = reach(max_shift, shape[1:4])
    back = tuple(-(-r // st) for r, st in zip(window, stride, strict=True))
    # Whole tiles of sublanes: several clips side by side, or frames of zeros at the end.
    together = SUBLANES // math.gcd(frames, SUBLANES)
    padded = -(-frames // SUBLANES) * SUBLANES
    if -(-batch // together) * together * frames <= batch * padded:
        clips, clip_rows = together, frames
    else:
        clips, clip_rows = 1, padded
    sizes_out = out_sizes((height, width), stride[1:])
    plan = Plan(
        batch,
        frames,
        channels,
        (height, width),
        sizes_out,
        stride[1:],
        window,
        back,
        clips,
        clip_rows,
        rows=sizes_out[0],
    )
    # A block's rows, of x and going back of dy, are whole multiples of its halo's.
    step = 1
    if window[1]:
        step = window[1] // math.gcd(window[1], stride[1])
        step = math.lcm(step, back[1]) if backward else step
    choices = {step * n for n in range(1, -(-sizes_out[0] // step) + 1)}
    plans = [plan._replace(rows=rows) for rows in choices | {sizes_out[0]}]
    fitting = [p for p in plans if vmem(p) <= VMEM_BYTES]
    if not fitting:
        raise ValueError(
            f"has no room in VMEM for {width} columns x {plan.sublanes} frames with "
            f"max_shift reaching {window}"
        )
    return min(fitting, key=cost)


def _blocks(plan: Plan, itemsize: int, backward: bool) -> int:
    """Bytes that a grid step fetches and stores."""
    rows_in = plan.rows * plan.stride[0]
    halo_in, halo_out = (2 * r[1] * (plan.blocks > 1) for r in (plan.reach, plan.back))
    x, y = rows_in + halo_in, plan.rows
    if backward:
        x, y = x + rows_in, y + halo_out
    columns = x * plan.sizes[1] + y * plan.sizes_out[1]
    return columns * plan.sublanes * LANES * itemsize


def _cost(plan: Plan, itemsize: int, backward: bool) -> float:
    steps = plan.groups * -(-plan.channels // LANES) * plan.blocks
    block = _blocks(plan, itemsize, backward)
    return step_cost(steps, block, steps * block)


def step_cost(steps: int, first_bytes: int, moved_bytes: int) -> float:
    """In bytes: what is moved, the first block, which nothing overlaps, and the steps."""
    return first_bytes + moved_bytes + steps * STEP_BYTES


def _vmem(plan: Plan, itemsize: int, backward: bool) -> int:
    """Bytes that a grid step holds: blocks and weights twice, rows kept in float32."""
    rows_in = plan.rows * plan.stride[0]
    kept = rows_in + 2 * plan.reach[1]
    if backward:
        kept += rows_in + 2 * (plan.rows + 2 * plan.back[1]) + plan.rows
    tile = plan.sublanes * LANES * 4
    taps = sum(2 * r + 1 for r in plan.reach) + (11 if backward else 0)
    scratch = kept * plan.sizes_out[1] * tile
    return 2 * _blocks(plan, itemsize, backward) + 2 * taps * tile + scratch
