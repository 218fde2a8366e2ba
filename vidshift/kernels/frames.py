"""The order of axes in which a network keeps its features: `[H, W, N, C]`.

N counts the frames of all clips; the clips of one frame are neighbours. On a TPU, XLA
keeps a ResNet's features in this order whatever order it is given: frames in sublanes,
channels in lanes. A shift by one frame is then a shift by whole rows of N, which XLA
reads while it feeds the matrix unit: the shift needs no pass over memory. A reshape or
a transpose between the shift and the product would need one, so N stays one axis, and
`Frames` holds the sizes of its parts.

If several devices share a batch, N counts their parts first. Every device then has
whole clips, and convolutions and shifts exchange nothing.
"""

import dataclasses
from typing import Any

import jax
from jax.sharding import AxisType
from jaxtyping import Array, Shaped

from vidshift.kernels.sharding import batch_devices


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Frames:
    """Features of every frame of a batch of clips.

    `data` is `[H, W, N, C]`, where N counts (parts, frames, clips of a part); `frames` is
    T, and `parts` the number of devices that share the clips. Frames are valid only on
    the side of a `shard_map` where they were made: pass clips across it.
    """

    data: Any  # an abstract array while a program is traced
    frames: int = dataclasses.field(metadata={"static": True})
    parts: int = dataclasses.field(default=1, metadata={"static": True})

    @classmethod
    def of(cls, clips: Shaped[Array, "B T H W C"]) -> "Frames":
        """Makes frames of clips, a part for each device that shares the clips."""
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
        """Returns the features as clips."""
        height, width, rows, channels = self.data.shape
        sizes = (self.parts, self.frames, rows // (self.parts * self.frames))
        x = self.data.reshape(height, width, *sizes, channels)
        x = x.transpose(2, 4, 3, 0, 1, 5)
        return x.reshape(-1, self.frames, height, width, channels)

    def clip_vectors(self, vectors: Shaped[Array, "N C"]) -> Shaped[Array, "B T C"]:
        """Arranges a vector for each frame, such as its pooled features, by clip."""
        x = vectors.reshape(self.parts, self.frames, -1, vectors.shape[-1])
        return x.swapaxes(1, 2).reshape(-1, self.frames, vectors.shape[-1])

    def check(self) -> None:
        """Checks the array's shape against `frames` and `parts`.

        Raises:
          ValueError: N is no multiple of parts x frames, or frames of several devices
            are used inside a `shard_map`, where each device has its own.
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
        """Returns other features of the same frames."""
        return dataclasses.replace(self, data=data)


def _refuse_explicit(clips) -> None:
    """Refuses Explicit axes, which need the sharding of every reshape."""
    sharding = jax.typeof(clips).sharding
    if any(axis is not None for axis in sharding.spec):
        raise NotImplementedError(
            "clips on a mesh of Explicit axes cannot become frames; make the mesh with "
            "axis_types=(jax.sharding.AxisType.Auto,) for each axis, got "
            f"{sharding.mesh}"
        )
