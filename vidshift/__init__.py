"""Video networks that model time by moving features, in JAX and Flax."""

from vidshift import export, stream
from vidshift.nets import BACKBONES, create, train_view
from vidshift.runs import load, load_adaptive, read_clip
from vidshift.shifts import SCHEMES
from vidshift.torch_weights import load_torch

__all__ = [
    "BACKBONES",
    "SCHEMES",
    "create",
    "export",
    "load",
    "load_adaptive",
    "load_torch",
    "read_clip",
    "stream",
    "train_view",
]
