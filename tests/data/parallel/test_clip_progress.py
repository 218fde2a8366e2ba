"""The time that a preparation says it has to go."""

import re
import time

import pytest

from vidshift.data.parallel import clip_progress as progress
from vidshift.data.parallel.clip_progress import ClipProgress


def test_the_first_estimate_forgets_how_long_the_start_took(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    said = ClipProgress("own", 10_000)
    now = 4.6  # until then processes start
    for _ in range(1000):
        now += 0.02
        said()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and "to go" not in lines[0]
    done, *clock = re.search(
        r"([\d,]+) of .* (\d+):(\d+):(\d+) to go", lines[1]
    ).groups()
    seconds = sum(int(part) * scale for part, scale in zip(clock, (3600, 60, 1)))
    assert seconds == pytest.approx(0.02 * (10_000 - int(done)), rel=0.02)


def test_what_was_done_before_says_nothing_of_the_time(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    said = ClipProgress("own", 1000)
    said(900, 2, resumed=True)
    assert said.seconds_to_go(now) is None
    # Slow ones, too: an hour for each.
    for hour in range(10):
        now = 3600.0 * (hour + 1)
        said()
    assert said.seconds_to_go(now) == 90 * 3600
    assert "910 of 1,000 clips" in capsys.readouterr().err.splitlines()[-1]


def test_it_is_not_silent_while_no_clip_is_done(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_REPORTS", 0.02)
    with ClipProgress("own", 3) as said:
        time.sleep(0.1)
        said()
    err = capsys.readouterr().err
    assert "own: 0 of 3 clips" in err and "starting" in err
    assert not said._thread.is_alive()
