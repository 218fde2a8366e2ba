"""The features that are asked of one or two runs: windows, rate and layer."""

from collections.abc import Sequence
from typing import NamedTuple

from vidshift.features.network import StreamNetworks, WindowNetworks
from vidshift.features.windows import Windows, usual_window
from vidshift.nets.video_network import LAYERS
from vidshift.run import Run
from vidshift.shifts.options import check_choice, check_whole


class Plan(NamedTuple):
    """Features to extract.

    Args:
      runs: of RGB or of flow, or one of each, whose features are joined.
      windows: of the networks; of a stream, its frames one by one.
      keep: a stream's features that are kept: every so many frames. Else 1.
      fps: frames a second that are read; None: each video's own.
      layer: a name in LAYERS.
      stream: every frame goes through causal networks once.
    """

    runs: tuple[Run, ...]
    windows: Windows
    keep: int
    fps: float | None
    layer: str
    stream: bool

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        *,
        window: int | None = None,
        stride: int | None = None,
        fps: float | None = None,
        layer: str = "pooled",
        stream: bool = False,
    ) -> "Plan":
        """Fills in what is left out.

        Args:
          window: frames; None: those that the first run's clips span.
          stride: frames from one window to the next; None: a window, of a stream 1.

        Raises:
          ValueError: no such layer, two runs of which not one takes flow, or a stream
            with a window or another layer than "pooled".
        """
        check_choice("layer", layer, LAYERS)
        modalities = [run.description.input.modality for run in runs]
        if len(runs) > 1 and modalities.count("flow") != 1:
            raise ValueError(
                f"the features of two runs are joined where one takes flow and the "
                f"other does not, got {' and '.join(modalities)}"
            )
        if stream and window not in (None, 1):
            raise ValueError(f"window={window} is not for a stream, which has none")
        if stream and layer != "pooled":
            raise ValueError(f"layer={layer!r} is not for a stream: take 'pooled'")
        views = [run.view for run in runs]
        if window is None:
            window = 1 if stream else usual_window(views[0])
        if stride is None:
            stride = window
        check_whole("window", window, 1)
        check_whole("stride", stride, 1)
        if stream:  # which sees every frame
            windows, keep = Windows.every_frame(len(runs)), stride
        else:
            windows = Windows.of(views, size=window, stride=stride, fps=fps)
            keep = 1
        return cls(tuple(runs), windows, keep, fps, layer, stream)

    @property
    def stride(self) -> int:
        """Frames from one row of features to the next."""
        return self.windows.stride * self.keep

    def networks(
        self, *, batch_size: int, soft: bool = False
    ) -> WindowNetworks | StreamNetworks:
        """Builds the networks; errors as of theirs."""
        if self.stream:
            return StreamNetworks(self.runs, batch_size=batch_size, soft=soft)
        return WindowNetworks(
            self.runs, layer=self.layer, batch_size=batch_size, soft=soft
        )
