"""Lists of classes in the forms that data sets give them in."""

import json

import pytest

from vidshift.class_names import difference, read_class_names

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


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_class_names(tmp_path / "a.txt")


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
