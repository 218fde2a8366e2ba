"""Treatment of pixels that are not square, as those of DV and anamorphic DVDs."""

import logging
from fractions import Fraction

logger = logging.getLogger("vidshift.data")

# "ignore": pictures as they are stored, as the official codes read them; "square": their
# width is scaled, as a player shows them.
PIXEL_ASPECTS = ("ignore", "square")

_warned: set[str] = set()


def check(pixel_aspect: str) -> None:
    """Raises ValueError where it is none of PIXEL_ASPECTS."""
    if pixel_aspect not in PIXEL_ASPECTS:
        raise ValueError(
            f"pixel_aspect must be one of {', '.join(PIXEL_ASPECTS)}, got "
            f"{pixel_aspect!r}"
        )


def stretch(stored: Fraction, pixel_aspect: str, *, of: str, label: str) -> Fraction:
    """Returns the factor of a picture's width; warns once where a player would differ.

    Args:
      stored: width of a stored pixel over its height.
      pixel_aspect: one of PIXEL_ASPECTS.
      of: the data set or file that is warned of once.
      label: the file.
    """
    check(pixel_aspect)
    if pixel_aspect == "square":
        return stored
    if stored != 1 and of not in _warned:
        _warned.add(of)
        logger.warning(
            "%s: pixels are %d:%d%s, not square; that is ignored, as in the official codes "
            "(config.data.pixel_aspect=square corrects it)",
            of,
            stored.numerator,
            stored.denominator,
            "" if of == label else f" in {label}",
        )
    return Fraction(1)
