"""Files that ask for all of the time or memory of who reads them are refused at once."""

import copy
import json
import random
import re
import struct
import zipfile

import pytest

from tests.support.commands import start_program
from tests.torch_weights.test_files import (
    DATA,
    FILES,
    Call,
    Named,
    pickled,
    storage,
    tensor,
    write_stream,
    write_zip,
)


def read_all(folder) -> dict[str, tuple[float, list[str], str]]:
    """-> by each file's name: seconds, names of arrays, error."""
    reader = start_program("-m", "tests.support.reading_torch_files", folder)
    out, err = reader.communicate()
    lines = [json.loads(line) for line in out.splitlines()]
    missing = {path.name for path in folder.iterdir()} - {line[0] for line in lines}
    assert not missing, err
    return {name: rest for name, *rest in lines}


def nested(depth=60):
    """A tuple of two, each of two ... of the same objects: 2**60 values to walk over."""
    value = ()
    for _ in range(depth):
        value = (value, value)
    return value


def raw(*instructions):
    """A pickle written by hand."""
    return b"\x80\x02" + b"".join(instructions) + b"."


def entry(written):
    """A ZIP archive with this as its pickle."""

    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", written)

    return write


def compressed(name):
    """An archive in which one entry is some thousand times smaller than what it holds."""

    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            size = 1 << 26
            content = {
                "data.pkl": pickled({"a": tensor(storage(size=size // 4))}),
                "data/0": b"",
            }
            for entry, written in (content | {name: bytes(size)}).items():
                way = zipfile.ZIP_DEFLATED if entry == name else zipfile.ZIP_STORED
                archive.writestr(f"archive/{entry}", written, way)

    return write


def changed(change):
    """An archive whose directory says something else of its last entry."""

    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled({"a": tensor(storage())}))
            archive.writestr("archive/data/0", DATA["0"].tobytes())
            change(archive, archive.filelist[-1])

    return write


def named_twice(archive, last):
    archive.filelist.append(last)


def overlapping(archive, last):
    other = copy.copy(last)
    other.filename, other.header_offset = "archive/data/1", last.header_offset + 4
    archive.filelist.append(other)


def larger_than_the_file(archive, last):
    last.file_size = last.compress_size = 1 << 31


def header(length, text):
    return lambda path: path.write_bytes(struct.pack("<Q", length) + text + bytes(8))


def claimed(path):
    """A stream with a storage of 2**60 values."""
    path = write_stream(path, {"a": tensor(storage())})
    whole = path.read_bytes()
    size = struct.pack("<q", 6)
    path.write_bytes(whole.replace(size, struct.pack("<q", 1 << 60)))


def storage_twice(path):
    path = write_stream(
        path, {"a": tensor(storage())}, {"0": DATA["0"], "1": DATA["0"]}
    )
    once, twice = pickled(["0", "1"]), pickled(list("00"))
    whole = path.read_bytes().replace(once, twice)
    assert twice in whole
    path.write_bytes(whole)


DUPLICATED = b")" + 60 * b"2\x86"  # as `nested`
OVERLAPPED = (
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    b'"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
)


def pairs(keys):
    """A dict as Python 2 wrote an ordered one, whose keys nobody hashes before."""
    made = [[key, None] for key in keys]
    return {"a": Call(Named("collections", "OrderedDict"), made)}


MANY_PAIRS = [[str(i), None] for i in range(2000)]
# Name: (what writes the file, what its line says).
HOSTILE = {
    "nested_key": (entry(raw(b"}", DUPLICATED, b"Ns")), "a key of a dict holds more"),
    "nested_keys": (entry(raw(b"}(", DUPLICATED, b"Nu")), "a key of a dict holds more"),
    "nested_first": (entry(raw(b"(", DUPLICATED, b"Nd")), "a key of a dict holds more"),
    "nested_pair": (
        pairs([nested()]),
        "a key of a dict holds more than 100 values",
    ),
    "nested_in_set": (
        {"a": Call(Named("builtins", "set"), [nested()])},
        "it has no state dict",
    ),
    "nested_storage": ({"a": tensor(storage(key=nested()))}, "it has no state dict"),
    "nested_size": ({"a": tensor(storage(size=nested()))}, "no storage has such sizes"),
    "nested_shape": ({"a": tensor(storage(), nested())}, "no tensor has such sizes"),
    "nested_list": (entry(raw(10**5 * b"]", (10**5 - 1) * b"a")), "a whole list"),
    "long_key": ({"a" * 20000: tensor(storage())}, "key of a dict is 20000 characters"),
    "equal_hashes": (pairs(i * (2**61 - 1) for i in range(5 * 10**4)), "no state dict"),
    "equal_hashes_of_tuples": (
        pairs(tuple(-1 - (i >> k & 1) for k in range(14)) for i in range(2**14)),
        "no state dict",
    ),
    "instructions": (entry(raw(1_010_000 * b"]")), "more than 1000000 instructions"),
    "pairs_again_and_again": (
        {
            str(i): Call(Named("collections", "OrderedDict"), MANY_PAIRS)
            for i in range(500)
        },
        "more than 1000000 instructions",
    ),
    "long_number": ({"a": 1 << 10**6}, "a number of 1000001 bits"),
    "extension": (entry(raw(b"\x82\x01")), "has the instruction EXT1"),
    "memo": (entry(raw(b"]p99999999999\n")), r"numbers an object beyond 2\*\*32"),
    "many_lines": (
        {f"\x1b[2J\n{i}": "b" for i in range(10**5)},
        "it has no state dict",
    ),
    "compressed_pickle": (compressed("data.pkl"), "data.pkl' in its archive is compr"),
    "compressed": (compressed("data/0"), "data/0' in its archive is compressed"),
    "named_twice": (changed(named_twice), "its archive has 'archive/data/0' twice"),
    "overlapping": (changed(overlapping), "'archive/data/1' in its archive overlaps"),
    "larger": (changed(larger_than_the_file), "its archive ends at byte 21474"),
    "expanded": (
        {"a": tensor(storage(), (2**20, 2**20), (0, 0))},
        "its tensors have 4398046511104 bytes, but the file",
    ),
    "the_same_again": (
        {str(i): tensor(storage(), (10**4, 2), (0, 1)) for i in range(1000)},
        "its tensors have 80000000 bytes, but the file",
    ),
    "many_axes": (
        {"a": tensor(storage(), (1,) * 100, (1,) * 100)},
        "no tensor has such sizes: tuple, strides tuple",
    ),
    "large_pickle": ({"a": "x" * (1 << 24)}, "data.pkl has more than 16777216 bytes"),
    "storage_twice": (storage_twice, "it has storage '0' twice"),
    "claimed": (claimed, "it is cut short: .* of at least 4611686018427"),
    "header": (header(1 << 40, b"{"), "its header has more than 16777216 bytes"),
    "overlapped": (header(len(OVERLAPPED), OVERLAPPED), r"is damaged \(Safetensor"),
}


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name, (content, _) in HOSTILE.items():
        if callable(content):
            content(folder / name)
        else:
            write_zip(folder / name, content)
    for path in FILES.glob("*.*t*"):
        for number, damaged in enumerate(damage(path.read_bytes(), 30)):
            (folder / f"damaged.{number}.{path.name}").write_bytes(damaged)
    return read_all(folder)


def damage(whole: bytes, times: int):
    """A file with other bytes here and there, or a part left out or there twice."""
    draw = random.Random(len(whole))
    for _ in range(times):
        changed = bytearray(whole)
        for _ in range(draw.choice((1, 3, 10))):
            place = draw.randrange(len(changed))
            changed[place] = draw.choice((draw.randrange(256), 0x32, 0x85, 0x28, 0xFF))
        start, size = draw.randrange(len(whole)), draw.choice((0, 0, 1, 50))
        changed[start : start + size] = draw.choice((0, 2)) * changed[start:][:size]
        yield bytes(changed)


@pytest.mark.parametrize("name", HOSTILE)
def test_is_refused_at_once(name, read):
    seconds, _, error = read[name]
    assert re.search(HOSTILE[name][1], error), error
    assert f"/{name}" in error and error.isprintable() and len(error) < 1300
    assert seconds < 4


def test_damaged_files_are_read_or_refused_at_once(read):
    results = {k: v for k, v in read.items() if k.startswith("damaged.")}
    assert len(results) == 6 * 30
    refused = 0
    for name, (seconds, names, error) in results.items():
        assert seconds < 1, name
        assert names or f"/{name}" in error, error
        refused += not names
    assert 0 < refused < len(results)
