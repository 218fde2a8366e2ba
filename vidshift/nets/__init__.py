"""What mixes space: backbones, each taking a temporal scheme it knows nothing of."""

from vidshift.nets.zoo import BACKBONES, create, train_view

__all__ = ["BACKBONES", "create", "train_view"]
