"""Epoch after epoch in the same memory."""

import multiprocessing
import os
import pathlib
import sys

import pytest

from tests.support.files import VIDEOS
from vidshift.data.annotations.clip import Clip
from vidshift.data.loading.loader import train_batches
from vidshift.data.loading.prefetch import Prefetch
from vidshift.data.records import storage
from vidshift.data.records.record import Record
from vidshift.data.sources.split import Split
from vidshift.data.views.view import View

VIDEO = VIDEOS / "arm_wrestling.mp4"
CLIPS, WARM_UP, EPOCHS = 16, 3, 10
# A leak of one frame a clip, of 340 x 256 pixels, is 42 MB in ten epochs.
FRAME_BYTES = 340 * 256 * 3
MOST_BYTES = CLIPS * EPOCHS * FRAME_BYTES // 2


def resident_bytes() -> int:
    """Returns the memory of this process and its workers."""
    pids = [os.getpid(), *(it.pid for it in multiprocessing.active_children())]
    pages = 0
    for pid in pids:
        pages += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_memory_is_flat_over_ten_epochs(kind):
    stored = storage.store(Clip("clip", VIDEO, ("train",), 0), "fast")
    record = Record(
        video=stored.video, label=0, num_frames=stored.num_frames, fps=stored.fps
    )
    split = Split([record | {"id": f"{row}"} for row in range(CLIPS)], ("one",))
    with Prefetch(
        train_batches(
            split,
            View(num_frames=4, resize=64, crop=56),
            batch_size=4,
            seed=0,
            workers=2,
            worker_kind=kind,
        ),
        lambda rows: rows,
    ) as batches:
        used = []
        for _ in range(WARM_UP + EPOCHS):
            for _ in range(CLIPS // 4):
                next(batches)
            used.append(resident_bytes())
    grown = used[-1] - used[WARM_UP - 1]
    assert grown < MOST_BYTES, [f"{size / 1e6:.1f} MB" for size in used]
