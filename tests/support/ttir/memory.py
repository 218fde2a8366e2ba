"""Arrays that a kernel has pointers to, with checks that a GPU does not make."""

from typing import NamedTuple

import numpy as np


class Pointer(NamedTuple):
    """Elements of a buffer; `offset` has a leading axis of programs, as every value."""

    buffer: "Buffer"
    offset: np.ndarray


class Buffer:
    """An array in the GPU's memory. What is read must be there; a write comes once.

    Two programs, or two lanes of one, that write to one place are a race. An output is
    never read, for which the program that wrote it would have to come first.
    """

    def __init__(self, name: str, array: np.ndarray, *, output: bool, programs: int):
        self.name, self.shape, self.output = name, array.shape, output
        self.data = array.reshape(-1).copy()
        self.written = np.zeros(self.data.size, bool)
        self.touched = np.zeros((programs, self.data.size), bool)

    @property
    def array(self) -> np.ndarray:
        return self.data.reshape(self.shape)

    @property
    def size_bytes(self) -> int:
        """What the programs move: each element once for every program that has it."""
        return int(self.touched.sum()) * self.data.itemsize

    def load(self, offset, mask, otherwise):
        if self.output:
            raise AssertionError(f"{self.name} is an output and is read")
        self._check(offset, mask)
        return np.where(mask, self.data[np.where(mask, offset, 0)], otherwise)

    def store(self, offset, mask, value):
        if not self.output:
            raise AssertionError(f"{self.name} is an input and is written")
        self._check(offset, mask)
        offset, value = offset[mask], np.broadcast_to(value, mask.shape)[mask]
        if self.written[offset].any() or np.unique(offset).size < offset.size:
            raise AssertionError(f"{self.name} is written twice at one place")
        self.written[offset] = True
        self.data[offset] = value

    def _check(self, offset, mask):
        reached = offset[mask]
        outside = (reached < 0) | (reached >= self.data.size)
        if outside.any():
            raise IndexError(
                f"{self.name} has {self.data.size} elements, and a lane that is not "
                f"masked reaches number {reached[outside][0]}"
            )
        self.touched[np.nonzero(mask)[0], reached] = True


class Words:
    """A buffer read and written as words of another type, of one or more elements."""

    def __init__(self, buffer: Buffer, dtype):
        self.buffer = buffer
        self.count = dtype.itemsize // buffer.data.itemsize
        self.data = buffer.data.view(dtype)

    def load(self, offset, mask, otherwise):
        self.buffer.load(
            *self._elements(offset, mask), np.zeros((), self.buffer.data.dtype)
        )
        return np.where(mask, self.data[np.where(mask, offset, 0)], otherwise)

    def store(self, offset, mask, value):
        elements, inside = self._elements(offset, mask)
        self.buffer.store(elements, inside, self.buffer.data.dtype.type(0))
        self.data[offset[mask]] = np.broadcast_to(value, mask.shape)[mask]

    def _elements(self, offset, mask):
        elements = offset[..., None] * self.count + np.arange(self.count)
        return elements, np.broadcast_to(mask[..., None], elements.shape)


class Addresses:
    """Stands for an array too large to have: reads as zeros, notes what is reached."""

    def __init__(self, name: str, dtype):
        self.name, self.dtype = name, dtype
        self.accesses = [np.zeros(0, np.int64)]

    @property
    def reached(self) -> np.ndarray:
        return np.unique(np.concatenate(self.accesses))

    def load(self, offset, mask, otherwise):
        self.accesses.append(offset[mask])
        return np.where(mask, np.zeros((), self.dtype), otherwise)

    def store(self, offset, mask, value):
        self.accesses.append(offset[mask])
