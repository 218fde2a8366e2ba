"""Backbones, which mix space and take any temporal scheme that has a site there."""

from vidshift.nets.backbones import BACKBONES, Backbone
from vidshift.nets.video_network import VideoNetwork
from vidshift.nets.zoo import create, train_view

__all__ = ["BACKBONES", "Backbone", "VideoNetwork", "create", "train_view"]
