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
import string
import unicodedata
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
    *(("clockwise", "counterclockwise"), ("左", "右"), ("izquierda", "derecha")),
    *(("esquerda", "direita"), ("влево", "вправо"), ("налево", "направо")),
    ("слева", "справа"),
)
# One way of writing it for several.
_SPELLINGS = dict.fromkeys(("ccw", "acw"), "counterclockwise") | {"cw": "clockwise"}
# Words that mean a side only beside their opposite: "swipe L" with "swipe R", but not
# "vitamin L"; German "links", but not links of a chain.
_BESIDE = (
    *(("l", "r"), ("lh", "rh"), ("lhs", "rhs"), ("lr", "rl"), ("ltr", "rtl")),
    *((f"{start}l", f"{start}r") for start in "utdb"),
    *(("links", "rechts"), ("linke", "rechte"), ("linker", "rechter")),
    *(("linken", "rechten"), ("linkes", "rechtes"), ("gauche", "droite")),
    *(("izquierdo", "derecho"), ("sinistra", "destra"), ("esquerdo", "direito")),
    *(("левый", "правый"), ("левая", "правая"), ("левой", "правой")),
    *(("←", "→"), ("↖", "↗"), ("↙", "↘")),
)
# Within a word that has no space where it might: "swipeleft", "lefttoright", "좌회전".
_WITHIN = (
    *(("left", "right"), ("clockwise", "counterclockwise")),
    *(("왼쪽", "오른쪽"), ("왼손", "오른손"), ("왼발", "오른발"), ("왼팔", "오른팔")),
    *(("왼다리", "오른다리"), ("좌회전", "우회전"), ("좌측", "우측")),
)
_WITHIN_BESIDE = (*_WITHIN, ("ccw", "cw"), ("좌", "우"))


def _both_ways(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {a: b for pair in pairs for a, b in (pair, pair[::-1])}


SWAPPED, SWAPPED_BESIDE = _both_ways(_SIDES), _both_ways(_BESIDE)
_SWAPPED_WITHIN = _both_ways(_WITHIN_BESIDE)
# The longer first: "counterclockwise" holds "clockwise".
_WITHIN_PATTERN = re.compile(
    "|".join(sorted(_SWAPPED_WITHIN, key=len, reverse=True)).replace("cw|", "cw$|")
)
_SIDE_WITHIN = re.compile("|".join(word for pair in _WITHIN for word in pair))
# Words that hold "left" or "right" and mean none.
_NO_SIDE = re.compile(
    "bright|fright|wright|upright|outright|copyright|birthright|forthright|alright"
    "|right(eous|ful|ly|s)|cleft|leftover"
)
# Other ways to draw an arrow.
_ARROWS = str.maketrans(
    dict.fromkeys("⇐⟵⟸⇦⬅👈", " ← ")
    | dict.fromkeys("⇒⟶⟹⇨➡➔➜👉", " → ")
    | {"⬉": "↖", "⬈": "↗", "⬋": "↙", "⬊": "↘"}
    | dict.fromkeys("↺⟲", " counterclockwise ")
    | dict.fromkeys("↻⟳", " clockwise ")
    | {"\N{VARIATION SELECTOR-16}": ""}
)
# Letters that beside "L" and "R" are directions too: up, down, top, bottom, centre,
# middle, forward, backward, and those of the compass.
_DIRECTIONS = frozenset("udtbcmnesfw")
# More letters than this, of which one is no direction, are the alphabet.
_MOST_DIRECTIONS = 8
# What says that a letter is one.
_LETTER = frozenset(("letter", "letters", "alphabet", "fingerspell", "fingerspelling"))


def words(name: str) -> tuple[str, ...]:
    """Returns a name's words in lower case, the same of "swipeLeft" and "Swipe_left".

    An arrow is a word, and so is "counter clock-wise".
    """
    name = unicodedata.normalize("NFKC", name)
    name = re.sub("<[-=]+", " ← ", re.sub("[-=]+>", " → ", name)).translate(_ARROWS)
    # Both sides are none.
    name = re.sub("左右|右左", " 両 ", name)
    text = " ".join(
        word.casefold()
        for run in re.findall(r"[^\W_]+|[←→↖↗↙↘]", name)
        for word in _split(run)
    )
    text = re.sub(r"\bclock wise\b", "clockwise", text)
    text = re.sub(r"(counter|anti|contra) ?clock ?wise", "counterclockwise", text)
    return tuple(_SPELLINGS.get(word, word) for word in text.split())


def _split(run: str) -> list[str]:
    """Splits letters and digits at humps of camelCase, at numbers, and at 左 and 右."""
    parts = [run[0]]
    for before, here, after in zip(run, run[1:], run[2:] + " "):
        hump = here.isupper() and (
            before.islower() or (before.isupper() and after.islower())
        )
        number = here.isdigit() != before.isdigit()
        if hump or number or here in "左右" or before in "左右":
            parts.append("")
        parts[-1] += here
    return parts


def of_names(classes: Sequence[str]) -> tuple[int, ...]:
    """Returns the label of each class's mirror image, from the names alone.

    Left and right swap word by word, whatever the capitals and whatever is between the
    words, and so do the words in `SWAPPED`, and "swipeleft" with "swiperight". Words in
    `SWAPPED_BESIDE` do where that gives a class.

    Returns:
      The class's label where its name has no side; `NO_MIRROR` where it has one and the
      swapped name is no class, or several are, and of "L" and "R" where they may be
      sides or letters.
    """
    by_words: dict[tuple[str, ...], list[int]] = {}
    for label, name in enumerate(classes):
        by_words.setdefault(words(name), []).append(label)

    def label_of(label: int, name_words: tuple[str, ...]) -> int:
        # The least of a name that gives a class.
        for swap in (_word, _beside, _within, _all):
            swapped = tuple(map(swap, name_words))
            labels = by_words.get(swapped)
            if swapped == name_words or not labels:
                continue
            if len(labels) > 1 or len(by_words[name_words]) > 1:
                return NO_MIRROR
            sides = _letters_are_sides(name_words, swapped, by_words)
            return label if sides is False else labels[0] if sides else NO_MIRROR
        # "L", "U" and "D" without "R".
        lone = any(
            {"u", "d"}
            <= _letters_at(place, name_words, by_words)
            <= _DIRECTIONS | {word}
            for place, word in enumerate(name_words)
            if word in ("l", "r")
        )
        return NO_MIRROR if lone or _has_side(name_words) else label

    return tuple(label_of(label, words(name)) for label, name in enumerate(classes))


def _word(word: str) -> str:
    return SWAPPED.get(word, word)


def _beside(word: str) -> str:
    return SWAPPED.get(word) or SWAPPED_BESIDE.get(word, word)


def _within(word: str) -> str:
    """ "swiperight" of "swipeleft"."""
    if word in SWAPPED:
        return SWAPPED[word]
    return _WITHIN_PATTERN.sub(lambda match: _SWAPPED_WITHIN[match[0]], word)


def _all(word: str) -> str:
    return SWAPPED_BESIDE.get(word) or _within(word)


def _has_side(name_words: tuple[str, ...]) -> bool:
    """Returns whether a name has a side for sure, so that it needs an opposite."""
    # An arrow between words may say that one follows the other.
    return any(word in "←→" for word in name_words[:1] + name_words[-1:]) or any(
        word in SWAPPED or _SIDE_WITHIN.search(_NO_SIDE.sub("", word))
        for word in name_words
    )


def _letters_are_sides(
    name_words: tuple[str, ...],
    swapped: tuple[str, ...],
    by_words: Mapping[tuple[str, ...], list[int]],
) -> bool | None:
    """Returns whether "l" and "r" are sides, beside other letters in their place.

    Returns:
      True of "push L", "push U", "push D"; False of letters of the alphabet; None where
      nothing says which.
    """
    places = [place for place, word in enumerate(name_words) if word in ("l", "r")]
    changed = [place for place in places if swapped[place] != name_words[place]]
    if changed and _LETTER.intersection(name_words):
        return False
    for place in changed:
        letters = _letters_at(place, name_words, by_words) | {"l", "r"}
        if letters - _DIRECTIONS - {"l", "r"}:
            return False if len(letters) > _MOST_DIRECTIONS else None
    return True


def _letters_at(
    place: int,
    name_words: tuple[str, ...],
    by_words: Mapping[tuple[str, ...], list[int]],
) -> set[str]:
    """Returns the letters that give a class in one place of a name."""
    return {
        letter
        for letter in string.ascii_lowercase
        if name_words[:place] + (letter,) + name_words[place + 1 :] in by_words
    }


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
    mirrors = list(unchanged(classes) if flip_labels is None else flip_labels)
    pairs_of: dict[int, str] = {}
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
            if pairs_of.setdefault(label, pair) != pair:
                raise ValueError(
                    f"{classes[label]!r} is in two pairs of mirror images: "
                    f"{pairs_of[label]!r} and {pair!r}"
                )
        mirrors[one], mirrors[other] = other, one
    # What was the mirror image of a class that now has another one.
    for label, mirror in enumerate(mirrors):
        if label not in pairs_of and mirror in pairs_of:
            mirrors[label] = NO_MIRROR
    return tuple(mirrors)


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


def changed(flip_labels: Sequence[int] | None) -> frozenset[int]:
    """Returns the labels that are not those of their clips' mirror images."""
    return frozenset(
        label for label, mirror in enumerate(flip_labels or ()) if mirror != label
    )


def why_none(without: Sequence[str]) -> str:
    """Says that classes have no mirror image, for a line."""
    return (
        f"the mirror image of {listed(without)} is none of the classes, or in doubt, by "
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
    """Returns the label of the mirror image for each class.

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
    """Returns the labels of mirror images that keep their class."""
    return tuple(range(len(classes)))
