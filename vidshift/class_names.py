"""Names of classes from the files that data sets and code bases give them in."""

import json
import pathlib


def read_class_names(path: pathlib.Path) -> tuple[str, ...]:
    """The names in the order of their numbers.

    Args:
      path: a text file with a name a line, or a `.json` file with a list, or with an
        object from name to number (Something-Something's labels) or number to name.

    Raises:
      ValueError: the file is neither.
      OSError: it cannot be opened.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        content = json.loads(text)
    except ValueError as error:  # of the characters, or of the JSON
        raise ValueError(f"{path} cannot be read: {error}") from None
    if isinstance(content, list):
        return tuple(map(str, content))
    if isinstance(content, dict):
        numbers = [str(number) for number in range(len(content))]
        by_number = {str(number): name for name, number in content.items()}
        for names in (by_number, content):
            if names.keys() == set(numbers):
                return tuple(str(names[number]) for number in numbers)
    raise ValueError(f"{path} must be a list of names, or number names from 0")
