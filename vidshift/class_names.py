"""Names of classes: how they are spelt, read from files, and compared.

A name is the same however its letters are encoded, whatever space is around it, and
whatever is in it that nobody sees: macOS writes "é" as two characters, a table may have a
space after each comma, and what is copied from a page may hold a soft hyphen.
"""

import collections
import json
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

# What nobody sees: soft hyphens, byte order marks, marks of the direction, spaces of no
# width. Unicode's category of formats (Cf), less the Arabic, Syriac and Kaithi signs in it
# that are seen and the tags of which flags are made.
INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a]"
)
# What joins letters or keeps them apart; in Latin it does nothing. Some scripts and emoji
# need it, between two characters.
JOINERS = re.compile(
    "(?<![^\\x00-\\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?![^\\x00-\\x7f])"
)
# Seen at times, and only a reader of the script can tell: joiners, variation selectors,
# fillers of Hangul.
UNSEEN = re.compile("[\u034f\u115f\u1160\u200c\u200d\u3164\ufe00-\ufe0f\uffa0]")
# Names that a message lists.
MOST_LISTED = 8


def clean(name: str) -> str:
    """Returns the one spelling of a name.

    Letters are composed (NFC), spaces single, and what nobody sees is left out.
    """
    name = JOINERS.sub("", " ".join(INVISIBLE.sub("", name).split()))
    return " ".join(unicodedata.normalize("NFC", name).split())


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Returns groups of different names that a reader would take for one.

    They differ in capitals, in zeros before a number ("1" and "01"), in spaces, hyphens
    and underscores, in the width of their letters, or in what is seen at times (`UNSEEN`).
    """
    groups = collections.defaultdict(list)
    for name in names:
        key = unicodedata.normalize("NFKC", UNSEEN.sub("", name)).casefold()
        key = re.sub(r"(?<!\d)0+(?=\d)", "", key)
        groups[re.sub(r"(?<=\D)[\s_-]+|[\s_-]+(?=\D)", "", key)].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def listed(names: Iterable[str]) -> str:
    """Returns the first names in quotes, and how many more there are."""
    names = list(names)
    shown = ", ".join(map(repr, names[:MOST_LISTED]))
    more = len(names) - MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def difference(
    ours: Sequence[str], theirs: Sequence[str], *, us: str, them: str
) -> str:
    """Returns what differs between two lists of classes; "" where nothing does.

    Names are the same if `clean` makes them so, as older runs and data have others.

    Args:
      ours, theirs: in the order of the labels.
      us, them: what has the lists, for the sentence.
    """
    ours, theirs = list(map(clean, ours)), list(map(clean, theirs))
    if ours == theirs:
        return ""
    parts = []
    for one, has, lacks, other in ((ours, us, them, theirs), (theirs, them, us, ours)):
        if only := [name for name in one if name not in set(other)]:
            parts.append(f"{has} has {listed(only)}, which {lacks} has not")
    if not parts and len(ours) != len(theirs):
        return (
            f"{us} has {len(ours)} classes and {them} {len(theirs)}, some of one name"
        )
    if not parts:
        place = next(i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b)
        return (
            f"they are in another order: class {place} is {ours[place]!r} of {us} and "
            f"{theirs[place]!r} of {them}"
        )
    return "; ".join(parts)


def read_class_names(path: pathlib.Path) -> tuple[str, ...]:
    """Reads names in the order of their numbers.

    Args:
      path: a text file with a name a line, or a `.json` file with a list, or with an
        object from name to number (Something-Something's labels) or number to name.

    Raises:
      ValueError: the file is neither.
      OSError: it cannot be opened.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix != ".json":
            return tuple(clean(line) for line in text.splitlines() if clean(line))
        content = json.loads(text)
    except ValueError as error:  # of the characters, or of the JSON
        raise ValueError(f"{path} cannot be read: {error}") from None
    if isinstance(content, list):
        return tuple(clean(str(name)) for name in content)
    if isinstance(content, dict):
        numbers = [str(number) for number in range(len(content))]
        by_number = {str(number): name for name, number in content.items()}
        for names in (by_number, content):
            if names.keys() == set(numbers):
                return tuple(clean(str(names[number])) for number in numbers)
    raise ValueError(f"{path} must be a list of names, or number names from 0")
