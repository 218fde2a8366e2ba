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
from jaxtyping import Array, Shaped

from kernels.sharding import batch_devices


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Frames:
    """Features of every frame of a batch of clips.

    `data` is `[H, W, N, C]`, where N counts (parts, frames, clips of a part); `frames` is
    T, and `parts` how many devices share the clips.
    """

    data: Any  # of its shape alone where a program is only traced
    frames: int = dataclasses.field(metadata={"static": True})
    parts: int = dataclasses.field(default=1, metadata={"static": True})

    @classmethod
    def of(cls, clips: Shaped[Array, "B T H W C"]) -> "Frames":
        """Clips as frames, in as many parts as the mesh of the clips says."""
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

    def like(self, data: Shaped[Array, "H2 W2 N C2"]) -> "Frames":
        """Other features of the same frames."""
        return dataclasses.replace(self, data=data)
