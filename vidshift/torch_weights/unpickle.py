"""Reads the pickles in PyTorch's files without PyTorch, and runs none of their calls.

A pickle is a program: it may call any function of any installed package, and a short
pickle may ask for endless work. Here `pickletools` reads the instructions one by one,
and they build only numbers, text, lists, tuples, dicts and `Tensor`s. Names are looked
up only in a table of the functions that make tensors. Everything else in a checkpoint
(an optimiser's state, `argparse.Namespace`, a whole module) becomes an `Unknown`. The
number of instructions is bounded, and so is the work of each: a dict keeps only items
whose key is a short text or a number.
"""

import collections
import dataclasses
import io
import math
import pickletools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

# PyTorch's name of a storage -> type of its numbers, little-endian.
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
# In a pickle. A checkpoint of 1,000 layers with its optimiser's state has 60,000.
MAX_INSTRUCTIONS = 2_000_000
# In a dict's key: values of a tuple, nested ones too, and characters of a text.
MAX_KEY_VALUES = 100
MAX_KEY_LENGTH = 10_000
# Larger numbers with equal hashes are easily found, and a dict of them takes forever.
MAX_KEY_INT = 2**60
MAX_INT_BITS = 8192
MAX_AXES = 32


class TorchFileError(ValueError):
    """Says in one line why a file's weights cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """`size` elements from `start` of the flat array that a file has under `key`."""

    key: str
    dtype: np.dtype
    start: int
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the values, if each is stored once."""
        return math.prod(self.shape) * self.storage.dtype.itemsize

    def array(self, data: bytes) -> np.ndarray:
        """Returns the tensor as a read-only view of its flat array's bytes.

        Raises:
          TorchFileError: there are fewer bytes than the pickle says.
        """
        dtype, start, size = (
            self.storage.dtype,
            self.storage.start,
            self.storage.size,
        )
        stored = max(0, len(data) // dtype.itemsize - start)
        if stored < size:
            raise TorchFileError(
                f"storage {self.storage.key} has {stored} values, "
                f"the pickle says {size}"
            )
        if 0 in self.shape:
            return np.zeros(self.shape, dtype)
        flat = np.frombuffer(data, dtype, count=size, offset=start * dtype.itemsize)
        return np.lib.stride_tricks.as_strided(
            flat[self.offset :],
            self.shape,
            tuple(stride * dtype.itemsize for stride in self.strides),
            writeable=False,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Unknown:
    """A class or function that a file names, or an object of it."""

    name: str


ORDERED_DICT = "collections.OrderedDict"
TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
PARAMETERS = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
)


class Unpickler:
    """Builds numbers, text, containers and `Tensor`s.

    After `load`, `dtypes` has the types of all storages by key.
    """

    def __init__(self, file: io.BytesIO):
        self._file = file
        self.dtypes: dict[str, np.dtype] = {}
        self._stack: list = []
        self._below: list[list] = []  # the stacks below the marks
        self._memo: dict[int, object] = {}
        self._left = MAX_INSTRUCTIONS

    def load(self) -> object:
        """Reads the pickle that begins at the file's position.

        Raises:
          TorchFileError: a bound is passed, or `torch.save` writes no such instruction.
          Exception: the pickle is damaged.
        """
        for instruction, value, _ in pickletools.genops(self._file):
            self._spend(1)
            name = instruction.name
            if name in VALUES:
                if type(value) is int and value.bit_length() > MAX_INT_BITS:
                    raise TorchFileError(
                        f"its pickle has a number of {value.bit_length()} bits"
                    )
                self._stack.append(value)
            elif name in ACTIONS:
                ACTIONS[name](self, value)
            elif name != "STOP":
                raise TorchFileError(f"its pickle has the instruction {name}")
        return self._stack.pop()

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise TorchFileError(
                f"its pickle takes more than {MAX_INSTRUCTIONS} instructions"
            )

    # ------------------------------------------------- one method an instruction
    def _mark(self, _):
        self._below.append(self._stack)
        self._stack = []

    def _from_mark(self, _=None) -> list:
        values = self._stack
        self._stack = self._below.pop()
        return values

    def _pop(self, _):
        if self._stack:
            self._stack.pop()
        else:
            self._from_mark()

    def _duplicate(self, _):
        self._stack.append(self._stack[-1])

    def _list(self, _):
        values = self._from_mark()
        self._stack.append(values)

    def _tuple(self, _):
        values = self._from_mark()
        self._stack.append(tuple(values))

    def _short_tuple(self, size: int):
        if len(self._stack) < size:
            raise IndexError("the stack of its pickle is empty")
        self._stack[-size:] = [tuple(self._stack[-size:])]

    def _dict(self, _):
        values = self._from_mark()
        self._stack.append({})
        self._set(values)

    def _append(self, _):
        self._extend([self._stack.pop()])

    def _appends(self, _):
        self._extend(self._from_mark())

    def _extend(self, values: list):
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Unknown):
            raise TypeError(f"a {type(target).__name__} takes no more values")

    def _set_item(self, _):
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _set_items(self, _):
        self._set(self._from_mark())

    def _set(self, values: list):
        target = self._stack[-1]
        if isinstance(target, dict):
            for key, value in zip(values[::2], values[1::2], strict=True):
                if self._is_key(key):
                    target[key] = value
        elif not isinstance(target, Unknown):
            raise TypeError(f"a {type(target).__name__} has no items")

    def _frozen_set(self, _):
        self._from_mark()
        self._stack.append(Unknown("frozenset"))

    def _get(self, number: int):
        self._stack.append(self._memo[number])

    def _put(self, number: int):
        if not 0 <= number < 2**32:
            raise TorchFileError("its pickle numbers an object beyond 2**32")
        self._memo[number] = self._stack[-1]

    def _memoise(self, _):
        self._memo[len(self._memo)] = self._stack[-1]

    def _global(self, value: str):
        self._stack.append(Unknown(value.replace(" ", ".")[:MAX_KEY_LENGTH]))

    def _stack_global(self, _):
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name is no text")
        self._stack.append(Unknown(f"{module}.{name}"[:MAX_KEY_LENGTH]))

    def _reduce(self, _):
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._call(function, arguments))

    def _new_with_keywords(self, _):
        self._stack.pop()
        self._reduce(None)

    def _instance(self, value: str):
        self._from_mark()
        self._global(value)

    def _object(self, _):
        values = self._from_mark()
        self._stack.append(values[0])

    def _build(self, _):
        self._stack.pop()  # the attributes of what is on top

    def _persistent(self, _):
        self._stack.append(self._stored(self._stack.pop()))

    # ------------------------------------------------------------ tensors and storages
    def _call(self, function, arguments):
        if not isinstance(function, Unknown):
            raise TypeError(f"a {type(function).__name__} is called")
        if function.name == ORDERED_DICT:
            made = collections.OrderedDict()
            pairs = arguments[0] if arguments else []  # Python 2 gives them at once
            self._spend(len(pairs))
            for key, value in pairs:
                if self._is_key(key):
                    made[key] = value
            return made
        if function.name in PARAMETERS:
            return arguments[0]
        if function.name in TENSORS and isinstance(arguments[0], Storage):
            return _tensor(*arguments[:4])
        return function

    def _stored(self, pid):
        kind, *fields = pid
        if kind == "module":  # (class, the file it is from, its source)
            return fields[0]
        storage, key, _, size, *rest = fields
        package, _, name = getattr(storage, "name", "").rpartition(".")
        if package not in ("torch", "torch.cuda") or name not in STORAGES:
            return Unknown("storage")
        if kind != "storage" or not isinstance(key, str) or not self._is_key(key):
            return Unknown("storage")
        self.dtypes[key] = STORAGES[name]
        # Before 1.6 a part of a storage may be named: (its own key, start, size).
        _, start, size = rest[0] if rest and rest[0] else (key, 0, size)
        if not _are_sizes((start, size)):
            raise TorchFileError(f"no storage has such sizes: {_brief((start, size))}")
        return Storage(key, STORAGES[name], start, size)

    def _is_key(self, key) -> bool:
        """Tells if a dict keeps an item with this key: a text or a number.

        Raises:
          TorchFileError: the key is nested or long, beyond what a program would write.
        """
        if isinstance(key, tuple):
            waiting, seen = [key], 0
            while waiting:
                value = waiting.pop()
                seen += 1
                if isinstance(value, tuple):
                    if seen + len(waiting) + len(value) > MAX_KEY_VALUES:
                        raise TorchFileError(
                            f"a key of a dict holds more than {MAX_KEY_VALUES} values"
                        )
                    waiting.extend(value)
            self._spend(seen)
        if isinstance(key, str | bytes) and len(key) > MAX_KEY_LENGTH:
            raise TorchFileError(f"a key of a dict is {len(key)} characters long")
        if isinstance(key, int):
            return abs(key) < MAX_KEY_INT
        return isinstance(key, str | bytes | float | None)


# Instructions that put their argument on the stack.
VALUES = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
    ]
)


def _new(make: Callable[[], object]) -> Callable[[Unpickler, object], None]:
    return lambda unpickler, _: unpickler._stack.append(make())


ACTIONS: dict[str, Callable[[Unpickler, object], None]] = {
    "PROTO": lambda *_: None,
    "FRAME": lambda *_: None,
    "NONE": _new(lambda: None),
    "NEWTRUE": _new(lambda: True),
    "NEWFALSE": _new(lambda: False),
    "EMPTY_LIST": _new(list),
    "EMPTY_TUPLE": _new(tuple),
    "EMPTY_DICT": _new(dict),
    "EMPTY_SET": _new(lambda: Unknown("set")),
    "MARK": Unpickler._mark,
    "POP": Unpickler._pop,
    "POP_MARK": Unpickler._from_mark,
    "DUP": Unpickler._duplicate,
    "LIST": Unpickler._list,
    "TUPLE": Unpickler._tuple,
    "TUPLE1": lambda unpickler, _: unpickler._short_tuple(1),
    "TUPLE2": lambda unpickler, _: unpickler._short_tuple(2),
    "TUPLE3": lambda unpickler, _: unpickler._short_tuple(3),
    "DICT": Unpickler._dict,
    "FROZENSET": Unpickler._frozen_set,
    "APPEND": Unpickler._append,
    "APPENDS": Unpickler._appends,
    "ADDITEMS": Unpickler._appends,
    "SETITEM": Unpickler._set_item,
    "SETITEMS": Unpickler._set_items,
    "PUT": Unpickler._put,
    "BINPUT": Unpickler._put,
    "LONG_BINPUT": Unpickler._put,
    "MEMOIZE": Unpickler._memoise,
    "GET": Unpickler._get,
    "BINGET": Unpickler._get,
    "LONG_BINGET": Unpickler._get,
    "GLOBAL": Unpickler._global,
    "STACK_GLOBAL": Unpickler._stack_global,
    "REDUCE": Unpickler._reduce,
    "NEWOBJ": Unpickler._reduce,
    "NEWOBJ_EX": Unpickler._new_with_keywords,
    "INST": Unpickler._instance,
    "OBJ": Unpickler._object,
    "BUILD": Unpickler._build,
    "BINPERSID": Unpickler._persistent,
}


def _tensor(storage: Storage, offset, shape, strides) -> Tensor:
    """Makes a tensor that lies within its storage.

    Raises:
      TorchFileError: it lies outside, or no tensor has such sizes.
    """
    if not all(map(_are_sizes, (shape, strides, (offset,)))):
        raise TorchFileError(
            f"no tensor has such sizes: {_brief(shape)}, strides {_brief(strides)}, "
            f"offset {_brief(offset)}"
        )
    if len(shape) != len(strides):
        raise TorchFileError(f"a tensor has {len(shape)} sizes, {len(strides)} strides")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.size:
        raise TorchFileError(
            f"a tensor ends at value {last} of storage {storage.key}, which has "
            f"{storage.size}"
        )
    return Tensor(storage, offset, shape, strides)


def _are_sizes(values) -> bool:
    return (
        type(values) is tuple
        and len(values) <= MAX_AXES
        and all(type(n) is int and 0 <= n < 2**48 for n in values)
    )


def _brief(value) -> str:
    """Formats a value for an error's line; printing nested values might never end."""
    if isinstance(value, tuple) and len(value) <= MAX_AXES:
        return f"({', '.join(map(_brief_item, value))})"
    return _brief_item(value)


def _brief_item(value) -> str:
    if isinstance(value, str | int | float | None):
        return repr(value)[:200]
    return type(value).__name__
