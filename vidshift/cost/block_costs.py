"""Parameters and MACs of RubiksNet's block beside blocks with convolutions, by part.

RubiksNet's supplement, section A4: Figure A2 has the totals, A3 and A4 the shares of the
parts and what is saved of the 3-D convolution.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.cost.count import CONVENTIONS, work
from vidshift.cost.rubiks_blocks import BLOCKS, CHANNELS, CONV_3D, RUBIKS
from vidshift.layers.norm import BatchNorm
from vidshift.nets.weights import named_arrays

CLIP = (8, 112, 112)  # T, H, W of section A4
PARTS = ("convolutions", "batch_norms", "shift")
# What section A4 says of a RubiksShift block's MACs and parameters, "~25x fewer" and "~8x
# fewer": the whole part of the other block's over its own.
TIMES_FEWER = {CONV_3D: 25, "2-D convolution, shift": 8}


def parameters_of(block: nnx.Module) -> dict[str, int]:
    """Counts parameters by part."""
    found = dict.fromkeys(PARTS, 0)
    leaves = {"kernel": "convolutions", "shift": "shift"}
    for name, array in named_arrays(block, nnx.Param).items():
        leaf = name.rsplit(".", 1)[-1]
        found[leaves.get(leaf, "batch_norms")] += array.size
    return found


def macs_of(name: str) -> dict[str, int]:
    """Counts MACs of one clip by part, as RubiksNet's tables do (`CONVENTIONS`)."""
    block = BLOCKS[name].abstract()
    clip = jax.ShapeDtypeStruct((1, *CLIP, CHANNELS), jnp.float32)
    weights = CONVENTIONS["shifts"]

    def call(block, clip):
        return block(BLOCKS[name].prepare(clip))

    products, elements = work(call, block, clip, weights)
    found = dict.fromkeys(PARTS, 0) | {"convolutions": products}
    for kind, size in elements:
        part = "batch_norms" if kind is BatchNorm else "shift"
        found[part] += weights[kind] * size
    return found


def rows() -> Iterator[dict]:
    """Yields a row for each block and each of `macs` and `parameters`."""
    counts = {
        "macs": {name: macs_of(name) for name in BLOCKS},
        "parameters": {n: parameters_of(b.abstract()) for n, b in BLOCKS.items()},
    }
    for measure, by_block in counts.items():
        whole = {name: sum(parts.values()) for name, parts in by_block.items()}
        for name, parts in by_block.items():
            yield {
                "block": name,
                "measure": measure,
                "total": whole[name],
                **parts,
                "shares": {part: n / whole[name] for part, n in parts.items()},
                "times_rubiks": whole[name] / whole[RUBIKS],
                "published_times_rubiks": TIMES_FEWER.get(name),
                "saved": 1 - whole[name] / whole[CONV_3D],
            }
