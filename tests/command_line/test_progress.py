"""What is said while a command works."""

import time

import pytest

from vidshift.command_line import progress


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    monkeypatch.setattr(progress, "SECONDS_BEFORE_LINES", 0.05)


def test_work_that_goes_on_is_said_again_and_again():
    lines = []
    with progress.working("building", lines.append):
        time.sleep(0.2)
    first, *more = lines
    assert first == "building"
    assert more and set(more) == {"building: 0 s so far"}
    time.sleep(0.1)
    assert len(lines) == 1 + len(more)  # no more of it afterwards


def test_quick_work_is_said_once(capsys):
    with progress.working("building", begin=True):
        pass
    with progress.working("compiling"):
        pass
    assert capsys.readouterr() == ("", "building\n")


def test_counts_and_the_time_to_go(monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 10.0)
    lines = []
    for number in progress.counted(range(4), "timed", "networks", lines.append):
        now = 7.0 * (number + 1)
    # After 7, 14 and 21 seconds; a line each 10.
    assert lines == ["timed 2 of 4 networks, 14 s to go"]
