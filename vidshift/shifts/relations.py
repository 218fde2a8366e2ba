"""TRN, which classifies ordered groups of frames at the end of a network."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Int

from vidshift.layers.initializers import torch_bias, torch_default
from vidshift.layers.precision import wide
from vidshift.shifts.site import Scheme, Site

# Sizes of the public code: of a frame's vector, and inside each relation.
FEATURES = 256
HIDDEN = 256
# Groups of each number of frames that are added up.
GROUPS = 3
# 16 frames have 65,519 groups; of 32 there are 4 thousand million.
MOST_FRAMES = 16


@functools.cache
def ordered_groups(num_frames: int, size: int) -> Int[np.ndarray, "groups size"]:
    """Returns all groups of some frames in the order of time, sorted by frame."""
    groups = list(itertools.combinations(range(num_frames), size))
    return np.array(groups, np.int32)


def spread(number: int) -> np.ndarray:
    """Returns which of so many groups are used in evaluation: spread evenly over all."""
    if number <= GROUPS:
        return np.arange(number)
    return np.arange(GROUPS) * (number - 1) // (GROUPS - 1)


class Relation(nnx.Module):
    """`relu(x) -> linear -> relu -> linear` of a group's joined vectors."""

    def __init__(self, size: int, num_classes: int, *, dtype, rngs: nnx.Rngs):
        def linear(channels, outputs):
            return nnx.Linear(
                channels,
                outputs,
                kernel_init=torch_default,
                bias_init=torch_bias(channels),
                dtype=dtype,
                rngs=rngs,
            )

        self.hidden = linear(size * FEATURES, HIDDEN)
        self.classes = linear(HIDDEN, num_classes)

    def __call__(self, x: Float[Array, "B groups C"]) -> Float[Array, "B groups K"]:
        return self.classes(nnx.relu(self.hidden(nnx.relu(x))))


class Relations(nnx.Module):
    """Head that adds up the relations of 2, 3, ... T frames (Zhou et al., ECCV 2018).

    The form is the public code's "TRNmultiscale": a linear layer makes 256 features of
    each frame; every number of frames has a relation of its own, and the answers of up to
    three groups are added up. In training, groups are drawn anew for each batch. In
    evaluation they are fixed, spread evenly over all, where the public code draws: here a
    clip has one answer.

    Args:
      channels: of a frame's pooled features.
      num_frames: T, from 2 to 16.
      dtype: compute type.
    """

    def __init__(
        self, channels: int, *, num_classes: int, num_frames: int, dtype, rngs: nnx.Rngs
    ):
        # N(0, 0.001), as the head of single frames; the relations are PyTorch's default.
        self.reduce = nnx.Linear(
            channels,
            FEATURES,
            kernel_init=nnx.initializers.normal(0.001),
            dtype=dtype,
            rngs=rngs,
        )
        self.num_frames = num_frames
        self.scales = nnx.List(
            Relation(size, num_classes, dtype=dtype, rngs=rngs)
            for size in range(2, num_frames + 1)
        )
        self.deterministic = True

    def set_view(self, deterministic: bool | None = None) -> None:
        """Draws groups (False) or takes fixed ones (True); called by `nnx.view`."""
        if deterministic is not None:
            self.deterministic = deterministic

    def __call__(self, x: Float[Array, "B T C"], *, rngs=None) -> Float[Array, "B K"]:
        """Logits of clips from the features of their frames.

        Args:
          rngs: in training, a key or a source of keys, as of `nnx.Dropout`.

        Raises:
          ValueError: clips of another length, or no key in training.
        """
        if x.shape[1] != self.num_frames:
            raise ValueError(
                f"trn was made for num_frames={self.num_frames} frames, got clips of "
                f"{x.shape[1]}"
            )
        x = self.reduce(x)
        keys = None
        if not self.deterministic:
            keys = jax.random.split(_key(rngs), len(self.scales))
        total = 0
        for i, relation in enumerate(self.scales):
            groups = self._groups(i + 2, None if keys is None else keys[i])
            joined = x[:, groups].reshape(x.shape[0], len(groups), -1)
            total = total + wide(relation(joined)).sum(1)
        return total

    def _groups(self, size: int, key):
        every = ordered_groups(self.num_frames, size)
        if key is None or len(every) <= GROUPS:
            return every[spread(len(every))]
        chosen = jax.random.choice(key, len(every), (GROUPS,), replace=False)
        return jnp.asarray(every)[chosen]


def _key(rngs) -> jax.Array:
    """Returns a key, another one than dropout's where both are given the same."""
    if rngs is None:
        raise ValueError("trn draws groups of frames in training: rngs must be a key")
    if isinstance(rngs, nnx.Rngs):
        rngs = rngs.dropout
    key = rngs() if isinstance(rngs, nnx.RngStream) else rngs
    return jax.random.fold_in(key, 1)


class TRN(Scheme):
    """Relations among frames instead of their mean (`Relations`), after any backbone.

    It is TRN-Multiscale of TSM's Table 2. Frames are features of their own up to the
    head, so there are no logits of single frames.

    Args:
      num_frames, dtype, rngs: the network's.

    Raises:
      ValueError: fewer than 2 frames or more than 16.
    """

    of_frames = True

    def __init__(self, *, num_frames: int, dtype: DTypeLike, rngs: nnx.Rngs):
        if not 2 <= num_frames <= MOST_FRAMES:
            raise ValueError(
                f"trn relates 2 to {MOST_FRAMES} frames, got num_frames={num_frames}"
            )
        self.arguments = {"num_frames": num_frames, "dtype": dtype, "rngs": rngs}

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        return module

    def finish(self, network: nnx.Module) -> None:
        if not hasattr(network, "clip_head"):
            return
        head = Relations(
            network.fc.in_features, num_classes=network.num_classes, **self.arguments
        )
        network.clip_head = nnx.data(self.filled(head))
        network.fc = nnx.data(None)

    def check_beside(self, options) -> None:
        if options.get("temporal_pool"):
            raise ValueError(
                f"trn relates num_frames={self.arguments['num_frames']} frames, of which "
                "temporal_pool leaves half"
            )
