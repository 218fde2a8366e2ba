"""Videos read ahead in threads."""

import threading

import pytest

from vidshift.features.ahead import BATCHES, ahead


def test_items_come_in_order_with_all_their_results():
    read = lambda item: iter([item] * item)
    with ahead(read, [3, 0, 5, 1, 4], threads=2) as items:
        assert [(item, list(results)) for item, results in items] == [
            (n, [n] * n) for n in (3, 0, 5, 1, 4)
        ]


def test_an_error_is_raised_in_its_place_and_the_next_item_goes_on():
    def read(item):
        yield item
        if item == 1:
            raise ValueError("broken")

    found = []
    with ahead(read, range(3), threads=2) as items:
        for item, results in items:
            assert next(results) == item
            if item == 1:
                with pytest.raises(ValueError, match="broken"):
                    next(results)
            found.append(item)
    assert found == [0, 1, 2]


def test_no_more_waits_than_is_said_and_threads_end_with_the_reader():
    made, full = [], threading.Event()

    def read(item):
        for number in range(1000):
            made.append(number)
            if len(made) == BATCHES + 1:
                full.set()
            yield number

    with ahead(read, [0], threads=1) as items:
        _, results = next(iter(items))
        assert full.wait(10)
        assert next(results) == 0
    for thread in threading.enumerate():
        if thread.name.startswith("vidshift features"):
            thread.join(10)
            assert not thread.is_alive()
    # One more that waits for room, and the one that was taken.
    assert len(made) <= BATCHES + 2
