"""Batches ahead of their use: in order, a few, and errors where they belong."""

import threading
import time

import pytest

from vidshift.data.loading.loader import Batches
from vidshift.data.loading.prefetch import Prefetch


class Numbers(Batches):
    """Stands for `Batches`: gives 0, 1, 2, ...; each third is a failure more."""

    def __init__(self, error_at: int | None = None):
        self.seen, self.failures = 0, []
        self.error_at, self.open = error_at, threading.Event()
        self.open.set()

    def __next__(self):
        self.open.wait()
        if self.seen == self.error_at:
            raise OSError("disk gone")
        self.seen += 1
        if self.seen % 3 == 0:
            self.failures.append((f"clip {self.seen}", "damaged"))
        return self.seen - 1

    def close(self):
        self.error_at = self.seen
        self.open.set()


def settled(numbers: Numbers) -> int:
    """Waits until no more are taken, and returns how many were."""
    seen = -1
    while seen != numbers.seen:
        seen = numbers.seen
        time.sleep(0.1)
    return seen


def test_a_thread_takes_and_places_two_ahead():
    numbers, where = Numbers(), set()

    def place(number):
        where.add(threading.current_thread())
        return number * 10

    with Prefetch(numbers, place) as batches:
        assert settled(numbers) == 2
        for given in range(1, 5):
            assert next(batches) == (given - 1) * 10
            assert settled(numbers) == given + 2
    assert where.isdisjoint({threading.current_thread()})


def test_counts_are_those_of_the_batches_given():
    numbers = Numbers()
    with Prefetch(numbers, lambda number: number) as batches:
        for given in range(1, 8):
            assert next(batches) == given - 1
            settled(numbers)
            assert batches.seen == given
            assert [int(name[5:]) for name, _ in batches.failures] == list(
                range(3, given + 1, 3)
            )


def test_an_error_comes_after_the_good_batches():
    with Prefetch(Numbers(error_at=2), lambda number: number) as batches:
        time.sleep(0.1)  # It has happened.
        assert [next(batches), next(batches)] == [0, 1]
        for _ in range(2):
            with pytest.raises(OSError, match="disk gone"):
                next(batches)


def test_an_error_of_placing_comes_after_the_good_batches():
    with Prefetch(Numbers(), lambda number: 1 // (number - 1)) as batches:
        assert next(batches) == -1
        with pytest.raises(ZeroDivisionError):
            next(batches)


@pytest.mark.parametrize("state", ["full", "waiting", "failed"])
def test_close_ends_the_thread(state):
    numbers = Numbers(error_at=0 if state == "failed" else None)
    if state == "waiting":
        numbers.open.clear()
    batches = Prefetch(numbers, lambda number: number)
    time.sleep(0.1)
    batches.close()
    batches.close()
    assert not any(
        t.name == "vidshift.data.loading.prefetch" for t in threading.enumerate()
    )
