"""Nearest neighbours of features, which have nothing to train."""

import numpy as np
from jaxtyping import Float, Int, Int64

# Of the similarities' exponential, as in Wu et al. (CVPR 2018, section 3.4) and DINO.
TEMPERATURE = 0.07
# Features that are compared with all others at once.
ROWS = 1024


def nearest(
    train: Float[np.ndarray, "N C"],
    labels: Int[np.ndarray, " N"],
    test: Float[np.ndarray, "M C"],
    *,
    k: int,
) -> Int64[np.ndarray, " M"]:
    """Classifies by the k nearest of the training clips, by the cosine.

    Each votes for its class with `exp(cosine / 0.07)`; equal votes are the first class's.

    Args:
      k: at most the number of training clips.

    Raises:
      ValueError: a k that is out of range.
    """
    if not 1 <= k <= len(train):
        raise ValueError(f"k must be in [1, {len(train)}] training clips, got {k}")
    train, test = _unit(train), _unit(test)
    classes = int(labels.max()) + 1
    found = []
    for first in range(0, len(test), ROWS):
        cosines = test[first : first + ROWS] @ train.T
        # Of equal ones the earlier clip.
        chosen = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        near = np.take_along_axis(cosines, chosen, axis=1)
        weights = np.exp((near - near[:, :1]) / TEMPERATURE)
        votes = np.zeros((len(cosines), classes))
        np.add.at(votes, (np.arange(len(cosines))[:, None], labels[chosen]), weights)
        found.append(votes.argmax(1))
    return np.concatenate(found)


def _unit(features: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1e-12)
