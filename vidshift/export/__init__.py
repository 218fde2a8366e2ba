"""Networks as files that need no vidshift: StableHLO, ONNX, TensorFlow Lite.

`python -m vidshift.export` writes them; `load(path)` opens one.
"""

from vidshift.export.replay import Exported, load

__all__ = ["Exported", "load"]
