"""Networks as files that need no vidshift: StableHLO, ONNX, TensorFlow Lite.

`vidshift export` writes them; `load(path)` opens one.
"""

from typing import TYPE_CHECKING

from vidshift import lazy

if TYPE_CHECKING:
    from vidshift.export.replay import Exported, load

__all__ = ["Exported", "load"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazy.attributes(
        __name__,
        {"Exported": "vidshift.export.replay", "load": "vidshift.export.replay"},
    )
