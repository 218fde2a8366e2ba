"""The order of axes in which a network keeps its features: `[H, W, N, C]`.

N counts the frames of all clips, the clips of one frame side by side. XLA lays the
features of a ResNet out like this on a TPU whatever order it is given: frames in
sublanes, channels in lanes. In that order a move by one frame is a move by whole rows of
N that XLA reads while it feeds the matrix unit, so a shift needs no pass over memory of
its own. Between a shift and the product after it a reshape or a transpose would be in
the way, so N is one axis, and what it consists of goes along beside the array.

Where the clips of a batch lie on several devices, N counts the devices' parts first: then
every device has whole clips, and nothing is exchanged for a convolution or a shift.
"""

import dataclasses
from typing import Any

import jax
from jax.sharding import AxisType
from jaxtyping import Array, Shaped

from kernels.sharding import batch_devices


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Frames:
    """Features of every frame of a batch of clips.

    `data` is `[H, W, N, C]`, where N counts (parts, frames, clips of a part); `frames` is
    T, and `parts` how many devices share the clips. Made on one side of a `shard_map`'s
    border they mean nothing on the other: take clips across.
    """

    data: Any  # of its shape alone where a program is only traced
    frames: int = dataclasses.field(metadata={"static": True})
    parts: int = dataclasses.field(default=1, metadata={"static": True})

    @classmethod
    def of(cls, clips: Shaped[Array, "B T H W C"]) -> "Frames":
        """Clips as frames, in as many parts as the mesh of the clips says."""
        if clips.ndim != 5:
            raise ValueError(f"clips must be [B, T, H, W, C], got shape {clips.shape}")
        _refuse_explicit(clips)
        batch, frames, height, width, channels = clips.shape
        parts = batch_devices(clips)
        parts = parts if batch % parts == 0 else 1
        x = clips.reshape(parts, batch // parts, *clips.shape[1:])
        x = x.transpose(3, 4, 0, 2, 1, 5)
        x = x.reshape(height, width, batch * frames, channels)
        return cls(x, frames, parts)

    def clips(self) -> Shaped[Array, "B T H W C"]:
        """The features in the order of `of`'s argument."""
        height, width, rows, channels = self.data.shape
        sizes = (self.parts, self.frames, rows // (self.parts * self.frames))
        x = self.data.reshape(height, width, *sizes, channels)
        x = x.transpose(2, 4, 3, 0, 1, 5)
        return x.reshape(-1, self.frames, height, width, channels)

    def clip_vectors(self, vectors: Shaped[Array, "N C"]) -> Shaped[Array, "B T C"]:
        """What was made of each frame, such as its pooled features, by clip."""
        x = vectors.reshape(self.parts, self.frames, -1, vectors.shape[-1])
        return x.swapaxes(1, 2).reshape(-1, self.frames, vectors.shape[-1])

    def check(self) -> None:
        """Whether the array can be what the numbers say.

        Raises:
          ValueError: N does not consist of parts x frames x clips, or the frames are
            those of several devices while each has its own (in a `shard_map`).
        """
        shape, each = self.data.shape, self.parts * self.frames
        if len(shape) != 4 or each < 1 or shape[2] % each:
            raise ValueError(
                f"frames must be [H, W, N, C] with N a multiple of {self.parts} parts x "
                f"{self.frames} frames, got shape {shape}"
            )
        axes = jax.typeof(self.data).sharding.mesh.axis_types
        if self.parts > 1 and axes and all(a == AxisType.Manual for a in axes):
            raise ValueError(
                f"frames in {self.parts} devices' parts are of no use to one device: in "
                "a shard_map, make them of its own clips"
            )

    def like(self, data: Shaped[Array, "H2 W2 N C2"]) -> "Frames":
        """Other features of the same frames."""
        return dataclasses.replace(self, data=data)


def _refuse_explicit(clips) -> None:
    """Explicit axes want the sharding of every reshape spelt out."""
    sharding = jax.typeof(clips).sharding
    if any(axis is not None for axis in sharding.spec):
        raise NotImplementedError(
            "clips on a mesh of Explicit axes cannot become frames; make the mesh with "
            "axis_types=(jax.sharding.AxisType.Auto,) for each axis, got "
            f"{sharding.mesh}"
        )
