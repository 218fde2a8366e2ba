"""A frame in, an answer out: networks that read the past only, without recomputing it.

`init, step = make(model)`; `logits, cache = step(cache, frame)`.
"""

from vidshift.stream.network import Cache, make
from vidshift.stream.state import put, restore, save, take

__all__ = ["Cache", "make", "put", "restore", "save", "take"]
