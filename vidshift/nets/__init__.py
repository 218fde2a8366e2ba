"""What mixes space: backbones, each taking a temporal scheme it knows nothing of."""

from vidshift.nets.backbones import BACKBONES, Backbone
from vidshift.nets.zoo import create, train_view

__all__ = ["BACKBONES", "Backbone", "create", "train_view"]
