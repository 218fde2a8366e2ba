"""From pictures of a stream to logits: frame by frame, or by a window of the last ones."""

import functools
import math
from collections import deque
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from vidshift.data.media.encoding import UNKNOWN_FPS
from vidshift.data.views import eval_views
from vidshift.data.views.sampling import DENSE_WINDOW, clip_span
from vidshift.data.views.view import View
from vidshift.stream.network import Cache, make

Picture = UInt8[np.ndarray, "S S C"]


def cut(rgb: UInt8[np.ndarray, "H W C"], view: View) -> Picture:
    """Resizes a frame of any size and cuts its centre, as the run's evaluation does."""
    size = {"resize": view.resize, "crop": view.crop}
    return eval_views.lay(rgb[None], **size, crops=1).frames[0]


class FrameByFrame:
    """Answers each picture by a causal network, computing nothing twice.

    Args:
      model: as of `stream.make`.
      side: of the pictures, pixels.
      normalise: uint8 `[..., C]` to what the network takes, on the device.
      average: of `stream.make`.
    """

    def __init__(
        self, model: nnx.Module, *, side: int, normalise: Callable, average=None
    ):
        init, self._step = make(model, average=average)
        self._normalise = jax.jit(normalise)
        self.cache: Cache = init(1, side)
        # Compiled before the first frame comes.
        black = jnp.zeros((1, side, side, model.in_channels), jnp.uint8)
        jax.block_until_ready(self._step(init(1, side), self._normalise(black)))

    def __call__(self, picture: Picture, time: float) -> Float[np.ndarray, " K"]:
        del time  # the network's past is that of the frames it has seen
        frame = self._normalise(picture[None])
        logits, self.cache = self._step(self.cache, frame)
        return np.asarray(logits)[0]


def span_frames(view: View, fps: float) -> int:
    """Returns the number of frames at `fps` that a clip of evaluation spans.

    Of "strided" it is the run's stride, of "dense" 64. Of "segments", whose clips are
    whole videos of any length, it is as many as a clip has.
    """
    if view.sampling == "strided":
        span = clip_span(
            view.num_frames, view.frame_stride, fps=fps, stride_fps=view.stride_fps
        )
        return math.ceil(span)
    return DENSE_WINDOW if view.sampling == "dense" else view.num_frames


class Window:
    """Shows any network the clip that evaluation takes of the last frames.

    A clip is chosen by time, so that its rate is right where frames are missing.

    Args:
      program: normalised clips `[1, T, S, S, C]` to logits; may be replaced.
      view: what a clip of evaluation is.
      normalise: as of `FrameByFrame`.
      fps: of the pictures that come; 0 where it is not known.
      every: pictures from one answer to the next.
      average: None gives each window's logits, "all" their mean so far, a number that of
        the last so many.
    """

    def __init__(
        self,
        program: Callable,
        view: View,
        *,
        normalise: Callable,
        fps: float,
        every: int = 1,
        average: str | int | None = None,
    ):
        self.program = program
        self.view = view
        self.every = every
        self.fps = fps or UNKNOWN_FPS
        self._normalise = jax.jit(normalise)
        self._span = span_frames(view, self.fps)
        self._held: deque[tuple[float, Picture]] = deque()
        self._began: float | None = None
        self._seen = 0
        self._average = average
        self._sum: np.ndarray | float = 0.0
        self._answers: deque = deque(maxlen=average if type(average) is int else 1)
        self._answered = 0

    def __call__(self, picture: Picture, time: float) -> Float[np.ndarray, " K"] | None:
        """Returns the logits, or None between two answers."""
        self._began = time if self._began is None else self._began
        self._held.append((time, picture))
        oldest = time - self._span / self.fps
        while len(self._held) > 1 and self._held[1][0] <= oldest:
            self._held.popleft()
        self._seen += 1
        if (self._seen - 1) % self.every:
            return None
        clip = self._normalise(self.clip(time)[None])
        return self._averaged(np.asarray(self.program(clip))[0])

    def clip(self, time: float) -> UInt8[np.ndarray, "T S S C"]:
        """Returns the frames that evaluation takes of the last frames' video."""
        shown = min(round((time - self._began) * self.fps) + 1, self._span)
        chosen = self.view.test_indices(shown, self.fps, 1)[0]
        # Half a frame later: the nearest one, not the one before it.
        wanted = time - (shown - 1 - chosen - 0.5) / self.fps
        times = np.array([at for at, _ in self._held])
        places = np.maximum(np.searchsorted(times, wanted) - 1, 0)
        return np.stack([self._held[place][1] for place in places])

    def seconds(self, program: Callable) -> float:
        """Times a compiled program for a clip, the best of three."""
        from vidshift.kernels.analysis import timing

        shape = (1, self.view.num_frames, self.view.crop, self.view.crop, 3)
        clip = self._normalise(np.zeros(shape, np.uint8))
        jax.block_until_ready(program(clip))
        found = timing.side_by_side(
            {"": functools.partial(program, clip)}, calls=1, seconds=0.0
        )
        return found[""].median

    def _averaged(self, logits: np.ndarray) -> np.ndarray:
        self._answers.append(logits)
        self._answered += 1
        if self._average == "all":
            self._sum = self._sum + logits
            return self._sum / self._answered
        return np.mean(self._answers, axis=0)
