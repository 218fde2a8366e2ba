"""The most probable classes of an answer."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Guess(NamedTuple):
    share: float
    name: str


class Classes(NamedTuple):
    """What a run's checkpoint says of its classes."""

    names: tuple[str, ...]
    # How many of them are each task's; none where there is one.
    tasks: Mapping[str, int]
    multi_label: bool

    @classmethod
    def of(cls, description: dict) -> "Classes":
        # Checkpoints from before there were such runs do not say.
        return cls(
            tuple(description["classes"]),
            description.get("tasks", {}),
            description.get("multi_label", False),
        )

    def top(self, logits: np.ndarray, number: int) -> list[Guess]:
        """The first of each task by softmax, by sigmoid where a clip has several labels."""
        found, first = [], 0
        for size in self.tasks.values() or [len(self.names)]:
            part = logits[first : first + size].astype(np.float64)
            if self.multi_label:
                shares = 1 / (1 + np.exp(-part))
            else:
                powers = np.exp(part - part.max())
                shares = powers / powers.sum()
            best = np.argsort(-shares, kind="stable")[:number]
            found += [Guess(float(shares[i]), self.names[first + i]) for i in best]
            first += size
        return found
