"""Near misses of a name."""

import difflib
from collections.abc import Iterable


def near(name: str, names: Iterable[str]) -> str:
    """Returns ` (did you mean 'x'?)`, or nothing where no name is near."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
