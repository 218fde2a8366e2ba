"""The one label by which a clip is right or wrong, whatever the kind of label."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from vidshift.evaluation.evaluate import Scores
from vidshift.tasks import MultiLabel, metrics


class OneLabel(NamedTuple):
    """Scores of the classes of which one is right.

    logits: `[N, classes]`.
    labels: `[N]`.
    classes: names of the classes.
    """

    logits: Float[np.ndarray, "N classes"]
    labels: Int[np.ndarray, " N"]
    classes: tuple[str, ...]

    @property
    def right(self) -> Bool[np.ndarray, " N"]:
        """Says of each clip if it is right, as top-1 counts it: a tie is wrong."""
        return metrics.hits(self.logits, self.labels, 1)

    @property
    def others(self) -> Int[np.ndarray, " N"]:
        """Returns the highest class of each clip that is not its label."""
        logits = self.logits.astype(np.float64)
        logits[np.arange(len(logits)), self.labels] = -np.inf
        return logits.argmax(1)


def one_label(scores: Scores, classes: tuple[str, ...]) -> OneLabel | None:
    """Returns the label of each clip, of several tasks that of the last.

    None where a clip has any number of labels, which are not right or wrong together.
    """
    if isinstance(scores.task, MultiLabel):
        return None
    size = list(scores.task.sizes(len(classes)).values())[-1]
    labels = scores.labels.reshape(len(scores.labels), -1)[:, -1]
    return OneLabel(scores.logits[:, -size:], labels, classes[-size:])
