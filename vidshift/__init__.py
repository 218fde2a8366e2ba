"""Video networks that model time by moving features, in JAX and Flax."""

from vidshift.nets import BACKBONES, create, train_view
from vidshift.shifts import SCHEMES

__all__ = ["BACKBONES", "SCHEMES", "create", "train_view"]
