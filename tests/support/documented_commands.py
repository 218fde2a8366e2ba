"""Commands `vidshift ...` of documents and docstrings."""

import itertools
import re
import shlex

# Of docs/configs.md, whose commands are for any config.
PLACEHOLDERS = {"CONFIG": "tiny", "FLAGS": None}


def in_page(text: str) -> list[list[str]]:
    """Returns the arguments of each command in a page's fenced blocks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return _commands("".join(blocks))


def in_docstring(text: str) -> list[list[str]]:
    """Returns the arguments of each indented command of a docstring."""
    return _commands("\n".join(re.findall(r"^    (.*)$", text, re.MULTILINE)))


def _commands(text: str) -> list[list[str]]:
    found = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not re.search(r"(^|&& )vidshift ", line):
            continue
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        for operator, group in itertools.groupby(words, set("&|;<>()").issuperset):
            name, *argv = group
            if not operator and name == "vidshift":
                found.append([x for x in map(_filled, argv) if x])
    return found


def _filled(word: str) -> str | None:
    flag, equals, value = word.rpartition("=")
    if value not in PLACEHOLDERS:
        return word
    filled = PLACEHOLDERS[value]
    return filled and flag + equals + filled
