"""Checks of options' values, each a ValueError that names the option and what it got."""

import math
import numbers
from collections.abc import Sequence


def check_choice(name: str, value, choices: Sequence) -> None:
    """Refuses all but some values; True and 1 are not the same."""
    if not any(value is c or (value == c and type(value) is type(c)) for c in choices):
        raise ValueError(f"{name} must be one of {tuple(choices)}, got {value!r}")


def check_flag(name: str, value) -> None:
    """Refuses all but True and False."""
    if value is not True and value is not False:
        raise ValueError(f"{name} must be True or False, got {value!r}")


def check_whole(name: str, value, low: int) -> None:
    """Refuses all but whole numbers from `low` on."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < low:
        raise ValueError(f"{name} must be a whole number from {low}, got {value!r}")


def check_number(name: str, value, *, above: float, at_most: float = math.inf) -> None:
    """Refuses all but finite numbers within bounds, the lower one excluded."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not above < value <= at_most or math.isinf(value):
        most = "" if math.isinf(at_most) else f" and at most {at_most:g}"
        raise ValueError(
            f"{name} must be a finite number above {above:g}{most}, got {value!r}"
        )


def check_share(name: str, value) -> None:
    """Refuses all but numbers in [0, 1)."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number in [0, 1), got {value!r}")
