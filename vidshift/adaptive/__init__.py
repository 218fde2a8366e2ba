"""A3D: one network for every budget (Zhu et al., 2020)."""

from vidshift.adaptive.subnetwork import SubNetwork, narrow

__all__ = ["SubNetwork", "narrow"]
