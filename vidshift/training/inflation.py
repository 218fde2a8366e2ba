"""Kernels of a new network from smaller ones of another, which sees less of a clip."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Inflation(NamedTuple):
    """Rule that makes an array `here`, as it was drawn, from one that is `there`.

    `fits` takes the two shapes and whether they are of a kernel that reads a clip's
    channels. `of_images`: `there` must be of a network that sees frames one by one.
    """

    how: str
    of_images: bool
    fits: Callable[[tuple, tuple, bool], bool]
    make: Callable[[np.ndarray, np.ndarray], np.ndarray]


INFLATIONS = (
    # TSN's for optical flow and differences of frames (Wang et al., 2016), in TSM's code.
    Inflation(
        "the mean over the channels read there, for each one here",
        of_images=False,
        fits=lambda there, here, first: (
            first and there[:-2] == here[:-2] and there[-1] == here[-1]
        ),
        make=lambda there, here: np.repeat(
            there.mean(-2, keepdims=True), here.shape[-2], axis=-2
        ),
    ),
    # I3D's (Carreira and Zisserman, 2017): a clip that stands still gives the same.
    Inflation(
        "an equal share of the kernel there at each frame",
        of_images=True,
        fits=lambda there, here, first: len(there) == 4 and here[1:] == there,
        make=lambda there, here: np.repeat(
            there[None] / here.shape[0], here.shape[0], axis=0
        ),
    ),
    # GST's, as its code takes ImageNet's weights: the part of a 3x3 kernel that sees space.
    Inflation(
        "the leading channels of the kernel there",
        of_images=True,
        fits=lambda there, here, first: (
            there[:2] == here[:2] == (3, 3)
            and len(there) == len(here) == 4
            and here[2] <= there[2]
            and here[3] < there[3]
        ),
        make=lambda there, here: there[:, :, : here.shape[2], : here.shape[3]],
    ),
)


def find_inflation(there, here, *, first: bool, of_images: bool) -> Inflation | None:
    """Finds the rule that gives an array of `here`'s shape, if any does.

    Args:
      there, here: arrays.
      first: whether they are kernels that read a clip's channels.
      of_images: whether `there` is of a network that sees frames one by one.
    """
    for rule in INFLATIONS:
        if rule.of_images and not of_images:
            continue
        if rule.fits(tuple(there.shape), tuple(here.shape), first):
            return rule
    return None
