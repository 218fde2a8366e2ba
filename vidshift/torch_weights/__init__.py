"""Official PyTorch checkpoints into models."""

from vidshift.torch_weights.load import load_torch

__all__ = ["load_torch"]
