"""The loop over a stream: a frame in, an answer out, and what there is to say of it."""

import array
import io
import shutil
import time
from collections.abc import Callable, Iterable

import numpy as np

from vidshift.data.media.video import VideoError
from vidshift.data.views.view import View
from vidshift.stream.answering import cut
from vidshift.stream.latest_frame import LatestFrame
from vidshift.stream.overlay import Drawing
from vidshift.stream.sources import CameraError, Frame
from vidshift.tasks.kinds import Guess

# Latencies that a line's percentile is of.
RECENT = 300


class Figures:
    """Figures of a stream, for its end."""

    def __init__(self):
        # Frames that came; of those that the network was to see, those that it saw, and
        # those that nobody looked at; answers.
        self.frames = self.seen = self.skipped = self.answered = 0
        # Seconds from a frame in hand to its answer on the host.
        self.latencies = array.array("f")
        self.last: list[Guess] = []
        # "end", "interrupted" or "damaged", and then by what.
        self.ended = "end"
        self.error: Exception | None = None
        self._began = time.perf_counter()

    def latency_ms(self, latest: int | None = None) -> dict[str, float] | None:
        """Returns `median` and `p99` of the latest answers, or of all."""
        found = np.asarray(self.latencies[-latest:] if latest else self.latencies)
        if not len(found):
            return None
        median, p99 = (1000 * np.percentile(found, (50, 99))).tolist()
        return {"median": median, "p99": p99}

    def summary(self) -> dict:
        seconds = time.perf_counter() - self._began
        return {
            "frames": self.frames,
            "left_out": self.frames - self.seen - self.skipped,
            "skipped": self.skipped,
            "answered": self.answered,
            "seconds": seconds,
            "answers_per_second": self.answered / seconds if seconds else 0.0,
            "latency_ms": self.latency_ms(),
            "top": [
                {"class": name, "share": probability} for probability, name in self.last
            ],
            "ended": self.ended,
        }


class Live:
    """Rewrites one line on a terminal; elsewhere writes a line each time."""

    def __init__(self, out: io.TextIOBase):
        self._out = out
        self._in_place = out.isatty()
        self._open = False

    def show(self, text: str) -> None:
        if self._in_place:
            columns = shutil.get_terminal_size().columns
            self._out.write(f"\r{text[: columns - 1]}\x1b[K")
            self._open = True
        else:
            self._out.write(f"{text}\n")
        self._out.flush()

    def say(self, text: str) -> None:
        """Writes a line that stays."""
        self.close()
        self._out.write(f"{text}\n")
        self._out.flush()

    def close(self) -> None:
        if self._open:
            self._out.write("\n")
            self._open = False


def watch(
    frames: Iterable[Frame],
    answer: Callable,
    *,
    view: View,
    top: Callable[[np.ndarray], list[Guess]],
    every: int,
    live: Live,
    drawing: Drawing | None = None,
    answered: Callable[[float], None] = lambda seconds: None,
    stop: Callable[[], bool] = lambda: False,
) -> Figures:
    """Answers a stream's frames until it ends, is damaged, or `stop`.

    Args:
      frames: of `sources.timed`, or a `LatestFrame` of them.
      answer: (picture, time) to logits, or None where there is no new answer.
      view: what is cut out of a frame.
      top: logits to the most probable classes.
      every: answers from one line to the next.
      live: where lines go.
      drawing: where frames go.
      answered: told the latency of every answer.
    """
    figures = Figures()
    frames = iter(frames)
    while True:
        if stop():
            figures.ended = "interrupted"
            break
        try:
            frame = next(frames, None)
        except (VideoError, CameraError) as error:
            figures.ended, figures.error = "damaged", error
            break
        if frame is None:
            figures.ended = "interrupted" if stop() else "end"
            break
        figures.frames = frame.index + 1
        if isinstance(frames, LatestFrame):
            figures.skipped = frames.skipped
        if frame.due:
            figures.seen += 1
            logits = answer(cut(frame.show(), view), frame.time)
            if logits is not None:
                seconds = time.perf_counter() - frame.arrived
                figures.latencies.append(seconds)
                figures.answered += 1
                figures.last = top(logits)
                answered(seconds)
                if (figures.answered - 1) % every == 0:
                    live.show(line(frame, figures))
        if drawing is not None:
            drawing.add(frame, figures.last)
    return figures


def line(frame: Frame, figures: Figures) -> str:
    latency = figures.latency_ms(RECENT)
    named = "  ".join(
        f"{guess.probability:6.1%} {guess.name}" for guess in figures.last
    )
    return (
        f"{frame.time:7.2f} s  frame {frame.index}  {named}  | "
        f"{latency['median']:.1f} ms, 99 %: {latency['p99']:.1f} | "
        f"{figures.skipped} skipped"
    )
