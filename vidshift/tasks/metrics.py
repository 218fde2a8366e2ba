"""Metrics of per-clip scores `[N, classes]` and labels.

Labels are `[N]`; those of the average precision are multi-hot `[N, classes]`.
"""

import numpy as np


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Returns the fraction of clips whose label is among the k highest scores.

    A tie counts against the label: a network that scores all classes alike gets 0.
    """
    return float(hits(scores, labels, k).mean()) if len(labels) else float("nan")


def hits(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Returns bool `[N]`: whether the label is among the k highest scores, as `top_k`."""
    of_label = np.take_along_axis(scores, labels[:, None], axis=1)
    rank = (~(scores < of_label)).sum(
        1
    )  # the label itself included; NaN is never right
    return rank <= k


def confusion(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts `[true class, predicted class]`."""
    classes = scores.shape[1]
    pairs = labels * classes + scores.argmax(1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the accuracy of each class `[classes]`, NaN where a class has no clip."""
    counts = confusion(scores, labels)
    with np.errstate(invalid="ignore"):
        return np.diag(counts) / counts.sum(1)


def right_pair(
    scores: np.ndarray, labels: np.ndarray, reversed_labels: tuple[int, ...]
) -> float:
    """Returns the fraction of clips predicted as their class or as that class played backwards."""
    predicted = scores.argmax(1)
    other = np.asarray(reversed_labels)[labels]
    return float(((predicted == labels) | (predicted == other)).mean())


def average_precision(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns, for each class, `sum_n (R_n - R_(n-1)) P_n`; NaN where a class has no clip.

    `P_n` and `R_n` are precision and recall of the clips that score at least the n-th
    highest score, so clips of the same score count together: scikit-learn's
    `average_precision_score`, which SlowFast's official code takes for Charades. A NaN
    counts as the lowest score.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    columns = zip(scores.T, labels.T > 0, strict=True)
    return np.array([_of_class(*column) for column in columns])


def _of_class(scores: np.ndarray, right: np.ndarray) -> float:
    if not right.any():
        return float("nan")
    order = np.argsort(-scores)
    scores, right = scores[order], right[order]
    last = np.append(scores[1:] != scores[:-1], True)  # of the clips of one score
    hits = right.cumsum()[last]
    precision = hits / (np.flatnonzero(last) + 1)
    return float((np.diff(hits, prepend=0) * precision).sum() / right.sum())


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean of `average_precision` over the classes that have a clip.

    Raises:
      ValueError: no clip has a label.
    """
    if not labels.any():
        raise ValueError("mAP needs a clip that has a label, got none")
    return float(np.nanmean(average_precision(scores, labels)))
