"""Networks as files that need no vidshift: StableHLO, ONNX, TensorFlow Lite.

`python -m vidshift.export` writes them; `load(path)` opens one.
"""

from typing import TYPE_CHECKING

from vidshift import lazy

if TYPE_CHECKING:
    from vidshift.export.replay import Exported, load

__all__ = ["Exported", "load"]

__getattr__, __dir__ = lazy.attributes(
    __name__, {"Exported": "vidshift.export.replay", "load": "vidshift.export.replay"}
)
