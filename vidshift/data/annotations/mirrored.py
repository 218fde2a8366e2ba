"""The class of a clip's mirror image, from the classes' names.

A class "Pushing something from left to right" has the mirror image "Pushing something
from right to left": left and right swap in the name, and where that names a class, it
is the mirror image's.

Data sets that are published have their own words, and a class whose swapped name is no
class keeps its label (`flip_labels`). Of a user's own classes (`of_names`) such a class,
"turning left" without "turning right", has no mirror image, and nothing is flipped until
somebody says what it is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from vidshift.class_names import clean, listed

SIDES = {"left": "right", "right": "left"}
# A mirror image turns the other way.
TURNS = {"clockwise": "counterclockwise", "counterclockwise": "clockwise"}

# Of a class whose mirror image is none of the classes.
NO_MIRROR = -1

# ------------------------------------------------- words of a user's own classes
# Before and after "left" and "right" in one word.
_BEFORE = ("top", "bottom", "upper", "lower", "front", "back", "rear", "far", "mid")
_AFTER = ("ward", "wards", "most", "hand", "handed", "side", "y", "ie")
_SIDES = (
    ("left", "right"),
    *((f"{start}left", f"{start}right") for start in _BEFORE),
    *((f"left{end}", f"right{end}") for end in _AFTER),
    ("clockwise", "counterclockwise"),
)
# One way of writing it for several.
_SPELLINGS = dict.fromkeys(("anticlockwise", "ccw", "acw"), "counterclockwise")
_SPELLINGS |= {"cw": "clockwise"}
# Words that mean a side only beside their opposite: "swipe L" with "swipe R", but not
# "vitamin L"; German "links", but not links of a chain.
_BESIDE = (
    *(("l", "r"), ("lh", "rh"), ("lhs", "rhs")),
    *(("links", "rechts"), ("linke", "rechte"), ("linker", "rechter")),
    *(("linken", "rechten"), ("linkes", "rechtes"), ("gauche", "droite")),
    *(("izquierda", "derecha"), ("izquierdo", "derecho"), ("sinistra", "destra")),
    *(("esquerda", "direita"), ("esquerdo", "direito"), ("влево", "вправо")),
    *(("налево", "направо"), ("слева", "справа"), ("левый", "правый")),
    *(("левая", "правая"), ("левой", "правой"), ("左", "右"), ("왼쪽", "오른쪽")),
)
SWAPPED = {a: b for pair in _SIDES for a, b in (pair, pair[::-1])}
SWAPPED_BESIDE = {a: b for pair in _BESIDE for a, b in (pair, pair[::-1])}


def words(name: str) -> tuple[str, ...]:
    """Returns a name's words in lower case, the same of "swipeLeft" and "Swipe_left"."""
    name = re.sub(r"(?i)\b(counter|anti)[\s_-]?clockwise", "counterclockwise", name)
    found = [word for run in re.findall(r"[^\W_]+", name) for word in _split(run)]
    return tuple(_SPELLINGS.get(word.casefold(), word.casefold()) for word in found)


def _split(run: str) -> list[str]:
    """Splits letters and digits at humps of camelCase, at numbers, and at 左 and 右."""
    found = [run[0]]
    for before, here, after in zip(run, run[1:], run[2:] + " "):
        hump = here.isupper() and (
            before.islower() or (before.isupper() and after.islower())
        )
        number = here.isdigit() != before.isdigit()
        if hump or number or here in "左右" or before in "左右":
            found.append("")
        found[-1] += here
    return found


def of_names(classes: Sequence[str]) -> tuple[int, ...]:
    """Returns the label of each class's mirror image, from the names alone.

    Left and right swap word by word, whatever the capitals and whatever is between the
    words, and so do the words in `SWAPPED`. Words in `SWAPPED_BESIDE`, and "swipeleft"
    with "swiperight", do where that gives a class.

    Returns:
      The class's own label where its name has no side; `NO_MIRROR` where it has one and
      the swapped name is no class, or several are.
    """
    by_words: dict[tuple[str, ...], list[int]] = {}
    for label, name in enumerate(classes):
        by_words.setdefault(words(name), []).append(label)

    def label_of(label: int, own: tuple[str, ...]) -> int:
        swapped = tuple(SWAPPED.get(word, word) for word in own)
        if swapped != own:
            found = by_words.get(swapped, [])
            return found[0] if len(found) == len(by_words[own]) == 1 else NO_MIRROR
        for swap in (SWAPPED_BESIDE.get, _glued):
            swapped = tuple(swap(word) or word for word in own)
            found = by_words.get(swapped, [])
            if swapped != own and len(found) == len(by_words[own]) == 1:
                return found[0] if not _alphabet(own, swapped, by_words) else label
        return label

    return tuple(label_of(label, words(name)) for label, name in enumerate(classes))


def _glued(word: str) -> str | None:
    """ "swiperight" of "swipeleft"."""
    for side, other in SIDES.items():
        if word.endswith(side):
            return word.removesuffix(side) + other
        if word.startswith(side):
            return other + word.removeprefix(side)
    return None


def _alphabet(own: tuple, swapped: tuple, by_words: Mapping[tuple, list[int]]) -> bool:
    """Whether "l" and "r" are letters among others: "letter l", "letter m", ..."""
    differ = [
        place for place, pair in enumerate(zip(own, swapped)) if len(set(pair)) > 1
    ]
    if {own[differ[0]], swapped[differ[0]]} != {"l", "r"}:
        return False
    place = differ[0]
    return any(
        len(other) == len(own)
        and other[:place] + other[place + 1 :] == own[:place] + own[place + 1 :]
        and len(other[place]) == 1
        and other[place].isalpha()
        and other[place] not in ("l", "r")
        for other in by_words
    )


# --------------------------------------------------------------- an explicit list
def with_pairs(
    classes: Sequence[str], flip_labels: Sequence[int] | None, pairs: Iterable[str]
) -> tuple[int, ...]:
    """Returns labels of mirror images that a user's list changes.

    Args:
      flip_labels: of the classes that the list does not name; None: they keep theirs.
      pairs: "swipe left=swipe right": each is the mirror image of the other; "waving=
        waving": of itself.

    Raises:
      ValueError: a pair of anything but two classes, or a class in two pairs.
    """
    labels = {clean(name): label for label, name in enumerate(classes)}
    found = list(unchanged(classes) if flip_labels is None else flip_labels)
    given: dict[int, str] = {}
    for pair in pairs:
        parts = str(pair).split("=")
        # A name may have the sign too.
        cuts = [
            ("=".join(parts[:n]), "=".join(parts[n:])) for n in range(1, len(parts))
        ]
        sides = [tuple(map(clean, cut)) for cut in cuts]
        both = [cut for cut in sides if all(name in labels for name in cut)]
        if len(both) != 1:
            unknown = [n for n in (sides[0] if sides else ()) if n not in labels]
            raise ValueError(
                f"a pair of mirror images must be CLASS=CLASS, got {pair!r}"
                + (f"; no class is named {listed(unknown)}" if unknown else "")
                + f". The classes are {listed(classes)}"
            )
        one, other = (labels[name] for name in both[0])
        for label in {one, other}:
            if given.setdefault(label, pair) != pair:
                raise ValueError(
                    f"{classes[label]!r} is in two pairs of mirror images: "
                    f"{given[label]!r} and {pair!r}"
                )
        found[one], found[other] = other, one
    # What was the mirror image of a class that now has another one.
    for label, mirror in enumerate(found):
        if label not in given and mirror in given:
            found[label] = NO_MIRROR
    return tuple(found)


# ------------------------------------------------------------------------ reports
def without_mirror(
    classes: Sequence[str], flip_labels: Sequence[int] | None
) -> list[str]:
    """Returns the classes that have no mirror image, for which nothing can be flipped."""
    return [
        classes[label]
        for label, mirror in enumerate(flip_labels or ())
        if mirror == NO_MIRROR
    ]


def why_none(without: Sequence[str]) -> str:
    """Says that classes have no mirror image, for a line."""
    return (
        f"the mirror image of {listed(without)} is none of the classes, by "
        f"{'its name' if len(without) == 1 else 'their names'}"
    )


def swaps(classes: Sequence[str], flip_labels: Sequence[int] | None) -> str:
    """Returns the pairs that a mirror image swaps, for a line; "" where none are."""
    pairs = [
        (classes[label], classes[mirror])
        for label, mirror in enumerate(flip_labels or ())
        if mirror > label or (0 <= mirror < label and flip_labels[mirror] != label)
    ]
    lines = [f"{one!r} <-> {other!r}" for one, other in pairs[:8]]
    return ", ".join(lines) + f" and {len(pairs) - 8} more" * (len(pairs) > 8)


# -------------------------------------------------------- published data sets
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
