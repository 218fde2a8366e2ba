"""Work in other processes: in order, and a process that dies costs its own item alone."""

import gc
import multiprocessing
import os
import pathlib
import signal
import struct
import time
from multiprocessing.connection import Connection

import pytest

from vidshift.data.parallel.workers import AHEAD, Failed, Workers, results


def act(item):
    """Does what an item says; of a number, its square."""
    match item:
        case "damaged":
            return Failed("shelf/7: damaged")
        case "bug":
            raise TypeError("of our own")
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed while answering":
            # The head of a message of 1,000 bytes, of which none follows.
            pipes = [it for it in gc.get_objects() if isinstance(it, Connection)]
            for pipe in pipes:
                os.write(pipe.fileno(), struct.pack("!i", 1000))
            os.kill(os.getpid(), signal.SIGKILL)
        case "hangs":
            time.sleep(60)
        case "not to be sent":
            return lambda: None
        case ("slow", number):
            time.sleep(0.3)
            return number
        case ("mark", path):
            pathlib.Path(path).touch()
            time.sleep(60)
    return item**2


def all_of(items, workers=2, **options):
    found = list(results(act, items, workers=workers, **options))
    assert [item for item, _ in found] == list(items)
    return [result for _, result in found]


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    wait_for(lambda: not multiprocessing.active_children())


def wait_for(condition, most_seconds=10.0):
    end = time.monotonic() + most_seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_results_are_in_the_order_of_the_items():
    items = [("slow", 7), *range(10), ("slow", 8), 3]
    assert all_of(items, workers=3) == [7, *(n**2 for n in range(10)), 8, 9]
    assert all_of([]) == []


def test_large_results_arrive_whole():
    sizes = [0, 1, 2**16, 2**24 + 1]
    found = results(bytes, sizes, workers=2)
    assert [(size, len(data)) for size, data in found] == [(s, s) for s in sizes]


def test_items_are_read_as_results_are_taken():
    read = []

    def items():
        for number in range(100):
            read.append(number)
            yield number

    found = results(act, items(), workers=2)
    next(found)
    assert len(read) <= AHEAD * 2
    found.close()
    assert len(read) <= AHEAD * 2


def test_a_failure_that_the_function_returns_is_its_items_result():
    assert all_of([1, "damaged", 2]) == [1, Failed("shelf/7: damaged"), 4]


@pytest.mark.parametrize("kind", ["thread", "process", "here"])
def test_a_group_is_tried_up_to_the_first_that_does_not_fail(kind):
    groups = [[2, "damaged"], ["damaged", "killed", 3, 4], [], ["damaged"]]
    if kind != "process":
        groups[1].remove("killed")
    count = 0 if kind == "here" else 2
    with Workers(act, count, kind="process" if kind == "process" else "thread") as made:
        tried = list(made.first_of(groups))
    items = [[item for item, _ in each] for each in tried]
    assert items == [groups[0][:1], groups[1][:-1], [], ["damaged"]]
    assert [each[-1][1] for each in tried if each] == [4, 9, Failed("shelf/7: damaged")]


def without_signal(found) -> list:
    """The server that forks does not always know what its process died of."""
    return [
        result.reason.removesuffix(" (SIGKILL)")
        if isinstance(result, Failed)
        else result
        for result in found
    ]


@pytest.mark.parametrize("kind", ["killed", "killed while answering"])
def test_a_process_that_dies_costs_its_item_alone(kind):
    found = all_of([1, kind, 2, kind, kind, ("slow", 5), 3, 4, kind])
    dead = "the decoder crashed"
    assert without_signal(found) == [1, dead, 4, dead, dead, 5, 9, 16, dead]
    assert isinstance(found[1], Failed)


def test_a_process_that_dies_while_nobody_takes_results():
    found = results(act, [1, "killed", 2, 3, "killed", 4, 5], workers=2)
    taken = [next(found)]
    time.sleep(1)  # All processes have died or wait.
    taken += found
    dead = "the decoder crashed"
    taken = without_signal(result for _, result in taken)
    assert taken == [1, dead, 4, 9, dead, 16, 25]


def test_a_process_that_hangs_costs_its_item_alone():
    began = time.monotonic()
    found = all_of([1, "hangs", 2, ("slow", 9), "hangs", 3], most_seconds=1)
    late = Failed("the decoder took longer than 1 s")
    assert found == [1, late, 4, 9, late, 9]
    assert time.monotonic() - began < 20


def test_a_bug_reaches_the_caller():
    found = results(act, [1, "bug", 2], workers=2)
    assert next(found) == (1, 1)
    with pytest.raises(TypeError, match="of our own") as error:
        next(found)
    # Where it was raised, which the exception alone does not say.
    assert "in act" in error.value.__notes__[0]
    with pytest.raises(StopIteration):
        next(found)


def test_a_result_that_cannot_be_sent_reaches_the_caller():
    with pytest.raises(RuntimeError, match="cannot be sent"):
        all_of([1, "not to be sent", 2])


class NotThere:
    """Cannot be read in another process."""

    def __call__(self, item):
        return item

    def __reduce__(self):
        return _die, ()


def _die():
    os._exit(3)


def test_processes_that_cannot_begin_are_not_the_clips_fault():
    with pytest.raises(OSError, match="ended as it began"):
        list(results(NotThere(), [1, 2, 3], workers=2))


def test_closing_early_ends_all_processes(tmp_path):
    marks = [tmp_path / "a", tmp_path / "b"]
    found = results(act, [1, *(("mark", str(mark)) for mark in marks), 2], workers=2)
    next(found)
    wait_for(lambda: all(mark.exists() for mark in marks))
    assert len(multiprocessing.active_children()) == 2
    began = time.monotonic()
    found.close()
    assert time.monotonic() - began < 5
    assert not multiprocessing.active_children()
