"""Files of PyTorch weights as NumPy arrays: `torch.save`'s two formats, and safetensors.

Since PyTorch 1.6 `torch.save` writes a ZIP archive of a pickle and the bytes of each
storage; before that, a stream of five pickles and then the storages. TSM's published
files are of 2019.
"""

import functools
import io
import os
import pathlib
import pickle
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from vidshift.torch_weights.unpickle import (
    STORAGES,
    Tensor,
    TorchFileError,
    Unpickler,
)

# Where checkpoints keep the state dict: TSM and Lightning; PySlowFast and PyTorchVideo;
# GSF; RubiksNet.
KEYS = ("state_dict", "model_state", "model_state_dict", "model")
# What a stream's first pickle says.
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
SAFETENSORS = {
    "F64": STORAGES["DoubleStorage"],
    "F32": STORAGES["FloatStorage"],
    "F16": STORAGES["HalfStorage"],
    "BF16": STORAGES["BFloat16Storage"],
    "I64": STORAGES["LongStorage"],
    "I32": STORAGES["IntStorage"],
    "I16": STORAGES["ShortStorage"],
    "I8": STORAGES["CharStorage"],
    "U8": STORAGES["ByteStorage"],
    "BOOL": STORAGES["BoolStorage"],
}
# What `torch.save` writes of a network is some 100 bytes a tensor.
MAX_PICKLE_BYTES = 64 << 20
MAX_HEADER_BYTES = 16 << 20  # of safetensors
# A tensor may be there twice, and a small one be expanded; beyond that, an array over
# few bytes takes all memory.
MAX_EXPANDED = 4
EXPANDED_BYTES = 16 << 20
# The object of a file, and what reads a storage's bytes by its key.
Opened = tuple[object, Callable[[str], bytes]]


class TorchFile(NamedTuple):
    """The state dict's `arrays`, and the names of what else the file holds."""

    arrays: dict[str, np.ndarray]
    rest: list[str]


def read_torch(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The state dict of a `.pth`, `.pth.tar`, `.pt`, `.pyth` or `.safetensors` file.

    PyTorch is not needed, and no code of the file is run.

    Args:
      path: what `torch.save` wrote, or safetensors; the content says which.

    Returns:
      Arrays under the file's names, some of them read-only; floats of 16 bits as
      float32. What is no tensor is left out.

    Raises:
      TorchFileError: it is another file, damaged, has no state dict, or asks for more
        work or memory than a file of its size may.
      OSError: it cannot be opened.
    """
    return read(path).arrays


def read(path: str | os.PathLike) -> TorchFile:
    """`read_torch` with the names of what else is in the file."""
    path = pathlib.Path(path).expanduser()
    with path.open("rb") as file:
        try:
            return _read(file)
        except TorchFileError as error:
            raise TorchFileError(f"{path}: {_one_line(error)}") from None
        except Exception as error:  # whatever damage does to pickletools and zipfile
            raise TorchFileError(
                f"{path} is damaged ({type(error).__name__}: {_one_line(error)})"
            ) from error


def _read(file: io.BufferedReader) -> TorchFile:
    size = os.stat(file.fileno()).st_size
    start = file.read(len(MAGIC))
    file.seek(0)
    if start[8:9] == b"{":  # after the length of a JSON object
        if int.from_bytes(start[:8], "little") > MAX_HEADER_BYTES:
            raise TorchFileError(f"its header has more than {MAX_HEADER_BYTES} bytes")
        return TorchFile(_of_safetensors(file.read()), [])
    if start.startswith(b"PK\3\4"):
        content, read_storage = _open_zip(file, size)
    elif start == MAGIC:
        content, read_storage = _open_stream(file, size)
    else:
        raise TorchFileError(
            f"neither PyTorch nor safetensors wrote it: it begins with {start!r}"
        )
    key, tensors = _state_dict(content)
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total > EXPANDED_BYTES + MAX_EXPANDED * size:
        raise TorchFileError(
            f"its tensors have {total} bytes, but the file {size}: they are expanded, or "
            "there many times"
        )
    arrays = {
        name: _wide(tensor.array(read_storage(tensor.storage.key)))
        for name, tensor in tensors.items()
    }
    return TorchFile(
        arrays, [_one_line(name) for name in content if key not in (None, name)]
    )


def _of_safetensors(data: bytes) -> dict[str, np.ndarray]:
    import safetensors  # here: `import vidshift` loads jax and flax alone

    arrays = {}
    for name, entry in safetensors.deserialize(data):
        if entry["dtype"] not in SAFETENSORS:
            raise TorchFileError(f"{name} is of type {entry['dtype']}")
        flat = np.frombuffer(bytes(entry["data"]), SAFETENSORS[entry["dtype"]])
        arrays[name] = _wide(flat.reshape(entry["shape"]))
    return arrays


def _open_zip(file: io.BufferedReader, size: int) -> Opened:
    archive = zipfile.ZipFile(file)
    entries = _entries(archive, size)
    pickles = [name for name in entries if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise TorchFileError("a ZIP archive, but not one of torch.save: no data.pkl")
    if entries[pickles[0]].file_size > MAX_PICKLE_BYTES:
        raise TorchFileError(f"{pickles[0]} has more than {MAX_PICKLE_BYTES} bytes")
    folder = pickles[0].removesuffix("data.pkl")
    order = folder + "byteorder"
    if order in entries:
        _check_order(archive.read(order) == b"little")
    content = Unpickler(io.BytesIO(archive.read(pickles[0]))).load()
    return content, functools.cache(lambda key: archive.read(f"{folder}data/{key}"))


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's entries by name: as `torch.save` writes them, one after the other.

    Raises:
      TorchFileError: one is compressed, named twice, or shares its bytes with another.
    """
    entries: dict[str, zipfile.ZipInfo] = {}
    end = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        name = entry.filename
        if name in entries:
            raise TorchFileError(f"its archive has {name!r} twice")
        if entry.compress_type != zipfile.ZIP_STORED or (
            entry.compress_size != entry.file_size
        ):
            raise TorchFileError(
                f"{name!r} in its archive is compressed, as torch.save writes none"
            )
        if entry.header_offset < end:
            raise TorchFileError(f"{name!r} in its archive overlaps another entry")
        # The shortest header before it; what else is in it makes the entry longer.
        end = entry.header_offset + 30 + entry.file_size
        entries[name] = entry
    if end > size:
        raise TorchFileError(f"its archive ends at byte {end} of {size}")
    return entries


def _open_stream(file: io.BufferedReader, size: int) -> Opened:
    # One of each storage is read when it is needed; the pickles before them, now.
    pickles = io.BytesIO(file.read(MAX_PICKLE_BYTES))
    pickles.seek(len(MAGIC))
    Unpickler(pickles).load()  # the format's version, 1001 in all of them
    _check_order(Unpickler(pickles).load()["little_endian"])
    unpickler = Unpickler(pickles)
    content = unpickler.load()
    places = {}
    keys = Unpickler(pickles).load()
    file.seek(pickles.tell())
    for key in keys:
        if key in places:
            raise TorchFileError(f"it has storage {key!r} twice")
        length = int.from_bytes(file.read(8), "little")
        length *= unpickler.dtypes[key].itemsize
        end = file.tell() + length
        if end > size:
            raise TorchFileError(f"it is cut short: {size} of at least {end} bytes")
        places[key] = (file.tell(), length)
        file.seek(end)

    @functools.cache
    def read_storage(key: str) -> bytes:
        start, length = places[key]
        file.seek(start)
        return file.read(length)

    return content, read_storage


def _check_order(little: bool) -> None:
    if not little:
        raise TorchFileError("it was written by a big-endian machine")


def _state_dict(content) -> tuple[str | None, dict[str, Tensor]]:
    """The key of the state dict, None where it is all there is, and its tensors."""
    if not isinstance(content, dict):
        raise TorchFileError(
            f"it holds a whole {_kind(content)}, not a state dict; where its code is "
            "installed, save its state_dict()"
        )
    for key in (*KEYS, None):
        found = content if key is None else content.get(key)
        if not isinstance(found, dict):
            continue
        tensors = {n: t for n, t in found.items() if isinstance(t, Tensor)}
        nested = any(isinstance(value, dict) for value in found.values())
        if tensors and not nested and all(isinstance(name, str) for name in tensors):
            return key, tensors
    there = ", ".join(
        f"{name} ({_kind(value)})" for name, value in list(content.items())[:20]
    )
    raise TorchFileError(
        f"it has no state dict under {', '.join(KEYS)}, nor is it one; it has: {there}"
    )


def _kind(value) -> str:
    return getattr(value, "name", type(value).__name__)


def _one_line(text: object) -> str:
    words = " ".join(str(text).split())  # with what the file calls its parts
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return line if len(line) <= 1000 else f"{line[:1000]}..."


def _wide(array: np.ndarray) -> np.ndarray:
    half = array.dtype in (np.float16, jnp.bfloat16)
    return array.astype(np.float32) if half else array
