"""Figures from per-clip scores. All take scores `[N, classes]` and labels `[N]`."""

import numpy as np


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of clips whose label is among the k highest scores.

    A tie counts against the label: a network that scores all classes alike gets 0.
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    rank = (~(scores < own)).sum(1)  # the label itself included; NaN is never right
    return float((rank <= k).mean()) if len(labels) else float("nan")


def confusion(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts `[true class, predicted class]`."""
    classes = scores.shape[1]
    pairs = labels * classes + scores.argmax(1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Accuracy of each class `[classes]`, NaN where a class has no clip."""
    counts = confusion(scores, labels)
    with np.errstate(invalid="ignore"):
        return np.diag(counts) / counts.sum(1)


def right_pair(
    scores: np.ndarray, labels: np.ndarray, reversed_labels: tuple[int, ...]
) -> float:
    """Share of clips predicted as their class or as that class played backwards."""
    predicted = scores.argmax(1)
    other = np.asarray(reversed_labels)[labels]
    return float(((predicted == labels) | (predicted == other)).mean())
