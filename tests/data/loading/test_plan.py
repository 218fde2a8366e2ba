"""The stream of elements: complete, reproducible, the same however it is shared."""

import numpy as np
import pytest

from vidshift.data.loading import plan


def test_each_epoch_reads_every_row_once_in_a_new_order():
    rows = [[plan.row(7, 10 * epoch + i, 10) for i in range(10)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in rows)
    assert rows[0] != rows[1] != rows[2]


def test_rows_depend_on_the_seed_and_nothing_else():
    ours = [plan.row(1, i, 50) for i in range(120)]
    assert ours == [plan.row(1, i, 50) for i in reversed(range(120))][::-1]
    assert ours != [plan.row(2, i, 50) for i in range(120)]


def test_no_two_random_streams_are_the_same():
    draws = [
        plan.augmentation_rng(seed, i).random() for seed in (3, 4) for i in range(100)
    ]
    draws += [
        np.random.default_rng([3, plan.ORDER, epoch]).random() for epoch in range(200)
    ]
    assert len(set(draws)) == 400


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_share_a_batch_in_order(processes):
    size, local = 8, 8 // processes
    elements = [
        plan.global_position(batch * local + row, size, process, processes)
        for batch in range(3)
        for process in range(processes)
        for row in range(local)
    ]
    assert elements == list(range(24))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6, 0, 4), "multiple of process_count=4, got 6"),
        ((0, 0, 1), "batch_size"),
        ((8, 2, 2), r"process_index must be in \[0, 2\), got 2"),
        ((8, -1, 2), "process_index"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan.process_batch_size(*arguments)
