"""The pickles in PyTorch's files, without PyTorch and without running what they say.

A pickle is a program: it may name any function of any installed package and have it
called. Here a name is looked up in a short table of what tensors are made of. All else
that checkpoints hold (an optimiser's state, `argparse.Namespace`, a whole module)
becomes an `Unknown`, which does nothing.
"""

import collections
import io
import pickle
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

# PyTorch's name of a storage -> what it holds, little-endian.
STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class TorchFileError(ValueError):
    """A file that holds no weights that can be read, in one line."""


class Storage(NamedTuple):
    """`size` elements from `start` of the flat array that a file has under `key`."""

    key: str
    dtype: np.dtype
    start: int
    size: int


class Tensor(NamedTuple):
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, data: bytes) -> np.ndarray:
        """The tensor over its flat array's bytes, read-only.

        Raises:
          TorchFileError: it does not lie in these bytes.
        """
        key, dtype, start, size = self.storage
        numbers = (start, size, self.offset, *self.shape, *self.strides)
        fit = len(self.shape) == len(self.strides)
        if not fit or not all(type(n) is int and 0 <= n < 2**48 for n in numbers):
            raise TorchFileError(f"no tensor has such sizes: {self}")
        flat = np.frombuffer(data, dtype)[start : start + size]
        if len(flat) < size:
            raise TorchFileError(
                f"storage {key} has {len(flat)} values, the pickle says {size}"
            )
        if 0 in self.shape:
            return np.zeros(self.shape, dtype)
        last = self.offset
        for length, stride in zip(self.shape, self.strides, strict=True):
            last += (length - 1) * stride
        if last >= size:
            raise TorchFileError(
                f"a tensor ends at value {last} of storage {key}, which has {size}"
            )
        return np.lib.stride_tricks.as_strided(
            flat[self.offset :],
            self.shape,
            tuple(stride * dtype.itemsize for stride in self.strides),
            writeable=False,
        )


class Unknown:
    """In place of an object of a class that no tensor is made of.

    It takes whatever a pickle does to an object, a function, a list or a dict, and keeps
    nothing. `name` is what the file calls the class.
    """

    name = ""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs): ...

    def __call__(self, *args, **kwargs):
        return self

    def __setstate__(self, state): ...

    def __setitem__(self, key, value): ...

    def append(self, value): ...

    def extend(self, values): ...

    def add(self, value): ...


# The functions that tensors are saved as calls of. They are classes because a pickle may
# change what it is given: instances of `Unknown` keep nothing, and it has no way to set
# what belongs to their class.
class RebuildTensor(Unknown):
    def __new__(cls, storage, offset, shape, strides, *rest):
        if not isinstance(storage, Storage):
            return Unknown()
        return Tensor(storage, offset, tuple(shape), tuple(strides))


class RebuildParameter(Unknown):
    def __new__(cls, data, *rest):
        return data


KNOWN = {
    "collections.OrderedDict": collections.OrderedDict,
    "torch._utils._rebuild_tensor": RebuildTensor,
    "torch._utils._rebuild_tensor_v2": RebuildTensor,
    "torch._utils._rebuild_parameter": RebuildParameter,
    "torch._utils._rebuild_parameter_with_state": RebuildParameter,
}


class Unpickler(pickle.Unpickler):
    """Builds numbers, text, containers and `Tensor`s.

    `dtypes` has, after `load`, those of all storages by key.
    """

    def __init__(self, file: io.BufferedIOBase):
        # As latin1 no text that Python 2 wrote is an error.
        super().__init__(file, encoding="latin1")
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str):
        full = f"{module}.{name}"
        if full in KNOWN:
            return KNOWN[full]
        if module in ("torch", "torch.cuda") and name in STORAGES:
            return name
        return type("Unknown", (Unknown,), {"name": full})

    def persistent_load(self, pid):
        kind, *fields = pid
        if kind == "module":  # (class, the file it is from, its source)
            return fields[0]
        storage, key, _, size, *rest = fields
        if kind != "storage" or storage not in STORAGES:
            return Unknown()
        self.dtypes[key] = STORAGES[storage]
        # Before 1.6 a part of a storage may be named: (its own key, start, size).
        _, start, size = rest[0] if rest and rest[0] else (key, 0, size)
        return Storage(key, STORAGES[storage], start, size)
