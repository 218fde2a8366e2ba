"""Video networks that model time by moving features, in JAX and Flax."""

from typing import TYPE_CHECKING

from vidshift import lazy

if TYPE_CHECKING:
    from vidshift import export, kernels, stream
    from vidshift.layers.folded import folded
    from vidshift.nets import BACKBONES, create, train_view
    from vidshift.run import load, load_adaptive, read_clip
    from vidshift.shifts import SCHEMES
    from vidshift.torch_weights import load_torch

__version__ = "0.2.0"

__all__ = [
    "BACKBONES",
    "SCHEMES",
    "create",
    "export",
    "folded",
    "kernels",
    "load",
    "load_adaptive",
    "load_torch",
    "read_clip",
    "stream",
    "train_view",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazy.attributes(
        __name__,
        {
            "export": None,
            "kernels": None,
            "stream": None,
            "BACKBONES": "vidshift.nets",
            "create": "vidshift.nets",
            "train_view": "vidshift.nets",
            "folded": "vidshift.layers.folded",
            "load": "vidshift.run",
            "load_adaptive": "vidshift.run",
            "read_clip": "vidshift.run",
            "SCHEMES": "vidshift.shifts",
            "load_torch": "vidshift.torch_weights",
        },
    )
