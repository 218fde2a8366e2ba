"""Classes that one network has right more often than another: GSF's Figure 7."""

from typing import NamedTuple

import numpy as np

from vidshift.evaluation.one_label import OneLabel


class ClassGain(NamedTuple):
    """A class under two networks.

    clips: of the class.
    corrected: clips that were wrong and are right.
    broken: clips that were right and are wrong.
    before: class most often predicted before for the corrected clips.
    after: class most often predicted now for the broken clips.
    """

    name: str
    clips: int
    corrected: int
    broken: int
    before: str | None
    after: str | None

    @property
    def net(self) -> int:
        return self.corrected - self.broken

    @property
    def confusion(self) -> str | None:
        """The class that this one is taken for by the network that is worse at it."""
        return self.before if self.net > 0 else self.after


def gains(before: OneLabel, after: OneLabel) -> list[ClassGain]:
    """Returns every class, the one that gained most first.

    Args:
      before: scores of one network.
      after: scores of another network, of the same clips in the same rows.
    """
    corrected = ~before.right & after.right
    broken = before.right & ~after.right
    found = []
    for number, name in enumerate(before.classes):
        own = before.labels == number
        found.append(
            ClassGain(
                name,
                int(own.sum()),
                int((own & corrected).sum()),
                int((own & broken).sum()),
                _most_frequent(before, own & corrected),
                _most_frequent(after, own & broken),
            )
        )
    return sorted(found, key=lambda gain: -gain.net)


def ends(every: list[ClassGain], number: int) -> list[ClassGain]:
    """Returns so many classes that gained most, then so many that lost most."""
    best = [gain for gain in every if gain.net > 0][:number]
    worst = [gain for gain in every if gain.net < 0][-number:] if number else []
    return best + worst


def _most_frequent(scores: OneLabel, rows: np.ndarray) -> str | None:
    """Returns the wrong class predicted most often in some rows; None in no row."""
    if not rows.any():
        return None
    return scores.classes[np.bincount(scores.others[rows]).argmax()]
