"""Features of one video, for programs."""

import os

import jax
import numpy as np
from jaxtyping import Float

from vidshift.features.plan import Plan
from vidshift.features.reading import Reader, Video, features
from vidshift.run import Run


def extract(
    run: str | os.PathLike[str],
    video: str | os.PathLike[str] | bytes,
    *,
    flow: str | os.PathLike[str] | None = None,
    window: int | None = None,
    stride: int | None = None,
    fps: float | None = None,
    layer: str = "pooled",
    stream: bool = False,
    batch_size: int = 16,
) -> Float[np.ndarray, "windows ..."]:
    """Returns the features of a video's windows, as `vidshift features` writes them.

    Args:
      run: a run or checkpoint.
      video: path, or bytes of the file.
      flow: a run that takes optical flow, which is computed here: its features follow
        the others, as further columns.
      window: frames; None: those that a clip of the network spans.
      stride: frames from one window to the next; None: a window, of a stream 1.
      fps: frames a second that are read; None: the video's own.
      layer: "pooled" `[windows, C]`, "frames" `[windows, T, C]` or "spatial"
        `[windows, T, H, W, C]`; see `VideoNetwork.features`.
      stream: show every frame to a causal network once, for the features of each frame.
      batch_size: windows at a time, rounded up to the devices.

    Raises:
      ValueError: an argument that does not fit the others or the network.
      VideoError: the video is missing, damaged or not a video.
      CheckpointError: `run` is no run or checkpoint.
    """
    runs = [Run.open(path) for path in (run, flow) if path is not None]
    plan = Plan.of(
        runs, window=window, stride=stride, fps=fps, layer=layer, stream=stream
    )
    batch_size = -(-batch_size // jax.device_count()) * jax.device_count()
    networks = plan.networks(batch_size=batch_size)
    if not isinstance(video, bytes):
        video = os.path.expanduser(video)
    name = "<bytes>" if isinstance(video, bytes) else os.fspath(video)
    results = Reader(plan, batch_size)(Video(name, video))
    next(results)
    rows: list[np.ndarray] = []
    features(plan, networks, results, rows.append)
    return np.concatenate(rows)
