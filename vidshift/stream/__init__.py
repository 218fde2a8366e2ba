"""A frame in, an answer out: networks that read the past only, without recomputing it.

`init, step = make(model)`; `logits, cache = step(cache, frame)`.
"""

from typing import TYPE_CHECKING

from vidshift import lazy

if TYPE_CHECKING:
    from vidshift.stream.network import Cache, make
    from vidshift.stream.state import put, restore, save, take

__all__ = ["Cache", "make", "put", "restore", "save", "take"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazy.attributes(
        __name__,
        {
            "Cache": "vidshift.stream.network",
            "make": "vidshift.stream.network",
            "put": "vidshift.stream.state",
            "restore": "vidshift.stream.state",
            "save": "vidshift.stream.state",
            "take": "vidshift.stream.state",
        },
    )
