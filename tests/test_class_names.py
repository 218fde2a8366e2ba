"""Lists of classes in the forms that data sets give them in."""

import json
import unicodedata

import pytest

from vidshift.class_names import clean, difference, look_alikes, read_class_names

NAMES = ("pushing left", "pushing right", "été")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "\ufeffpushing left\n  pushing  right\n\ne\u0301te\u0301\n"),
        ("a.json", json.dumps(["pushing left ", "pushing right", "e\u0301te\u0301"])),
        ("a.json", json.dumps(NAMES)),
        ("a.json", '{"pushing right": "1", "pushing left": "0", "été": "2"}'),
        ("a.json", '{"pushing right": 1, "pushing left": 0, "été": 2}'),
        ("a.json", '{"1": "pushing right", "0": "pushing left", "2": "été"}'),
    ],
)
def test_in_the_order_of_their_numbers(name, text, tmp_path):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_class_names(path) == NAMES


@pytest.mark.parametrize("code", [0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x202E, 0xFEFF])
def test_what_nobody_sees_is_left_out(code):
    for name in (
        f"run{chr(code)}",
        f"ru{chr(code)}n",
        f"{chr(code)} run",
        "ru\u200e\xadn",
    ):
        assert clean(name) == "run"
    assert clean(f"e{chr(code)}\u0301t") == "\u00e9t"


def test_what_joins_letters_is_kept_where_it_shows():
    with_joiner, without = "\u0646\u0645\u06cc\u200c\u062f", "\u0646\u0645\u06cc\u062f"
    assert clean(f"{with_joiner}\u200c\xa0") == with_joiner
    assert look_alikes([with_joiner, without, "run"]) == [(with_joiner, without)]
    assert look_alikes(["\u2764", "\u2764\ufe0f"]) and not look_alikes(["a", "b"])
    # Every format that is not kept on purpose is left out.
    formats = [c for c in map(chr, range(0xE0000)) if unicodedata.category(c) == "Cf"]
    kept = {c for c in formats if clean(f"a{c}b") != "ab"}
    seen = "\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
    assert kept - set(map(chr, range(0x13430, 0x13460))) <= set(seen) | set(
        map(chr, range(0x600, 0x606))
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "a.json cannot be read: Expecting property name"),
        (b"\xff", "a.json cannot be read: .*utf-8"),
        (b"3", "must be a list of names, or number names from 0"),
        (b'{"a": 1, "b": 2}', "must be a list of names, or number names from 0"),
        (b'{"a": 0, "b": 0}', "must be a list of names, or number names from 0"),
        (b'{"a": 0, "b": "x"}', "must be a list of names, or number names from 0"),
    ],
)
def test_no_such_list(content, message, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_class_names(path)


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        (("a", "b"), ("a", "b"), ""),
        # As they were stored before names were spelt in one way.
        (("caf\u00e9", "b "), ("cafe\u0301", "b"), ""),
        (("a", "b", " b"), ("a", "b"), "us has 3 classes and them 2, some of one name"),
        (
            ("a", "b"),
            ("a", "c"),
            "us has 'b', which them has not; them has 'c', which us",
        ),
        (("a", "b", "c"), ("a", "b"), "us has 'c', which them has not"),
        (
            ("a", "b", "c"),
            ("a", "c", "b"),
            "another order: class 1 is 'b' of us and 'c' of",
        ),
        (tuple("abcdefghijk"), (), "'g', 'h' and 3 more, which"),
    ],
)
def test_what_differs_is_named(ours, theirs, says):
    found = difference(ours, theirs, us="us", them="them")
    assert says in found and bool(says) == bool(found)
