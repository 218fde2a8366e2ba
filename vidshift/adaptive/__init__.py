"""A3D: one network for every budget (Zhu et al., 2020)."""

from vidshift.adaptive.subnetwork import Narrow, SubNetwork, narrow

__all__ = ["Narrow", "SubNetwork", "narrow"]
