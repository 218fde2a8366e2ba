"""The class of a clip's mirror image, from the classes' names.

A class "Pushing something from left to right" has the mirror image "Pushing something
from right to left": left and right swap in the name, and where that names a class, it
is the mirror image's. A class whose swapped name is no class keeps its label.
"""

import re
from collections.abc import Mapping, Sequence

SIDES = {"left": "right", "right": "left"}
# A mirror image turns the other way.
TURNS = {"clockwise": "counterclockwise", "counterclockwise": "clockwise"}


def flip_labels(
    classes: Sequence[str], words: Mapping[str, str] = SIDES
) -> tuple[int, ...]:
    """Label of the mirror image for each class.

    Args:
      words: what each word becomes; lower case, found in either case.
    """
    labels = {name: label for label, name in enumerate(classes)}
    # Whole words, so that "upright" stays.
    pattern = re.compile(rf"\b({'|'.join(words)})\b", re.IGNORECASE)

    def swapped(match: re.Match) -> str:
        word = words[match[0].lower()]
        return word.capitalize() if match[0][0].isupper() else word

    return tuple(
        labels.get(pattern.sub(swapped, name), label)
        for label, name in enumerate(classes)
    )


def unchanged(classes: Sequence[str]) -> tuple[int, ...]:
    """Of classes that a mirror image keeps."""
    return tuple(range(len(classes)))
