"""Official PyTorch checkpoints into models."""

from vidshift.torch_weights.files import read_torch
from vidshift.torch_weights.load import load_torch

__all__ = ["load_torch", "read_torch"]
