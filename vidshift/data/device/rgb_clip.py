"""Types of what augmentations take."""

from jaxtyping import Array, Float, UInt8

RgbClip = UInt8[Array, "T H W 3"]
Number = Float[Array, ""]
