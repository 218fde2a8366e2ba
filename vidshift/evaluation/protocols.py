"""Test protocols by name: how many clips of a video, how many crops of a clip.

Where a clip has several labels the maximum over clips and crops is taken, whatever the
protocol, as SlowFast's official code does for Charades.
"""

import dataclasses

from vidshift.data.views.eval_views import WHOLE, num_views
from vidshift.data.views.view import View
from vidshift.nets.zoo import pick
from vidshift.tasks import AVERAGES


@dataclasses.dataclass(frozen=True)
class Protocol:
    # Of a video; the network's sampling says where they lie.
    clips: int
    # 1 in the centre; 3 along the longer side; 10: the corners, the centre and their
    # mirror images; "whole": the whole frame, of which the network averages all places.
    crops: int | str
    # Crops of the whole short side (TSM's `--full_res`), not of the training's size.
    full: bool = False
    # "logits", as TSM's test script does by default; "softmax", as SlowFast's.
    average: str = "logits"

    @property
    def views(self) -> int:
        return num_views(self.clips, self.crops)

    def view(self, view: View) -> View:
        """Returns the view of a network that is trained on `view`."""
        return dataclasses.replace(view, crop=view.resize) if self.full else view


def _named(clips: int, crops: int | str) -> dict[str, Protocol]:
    if crops == WHOLE:
        return {f"{clips}-{WHOLE}": Protocol(clips, WHOLE, full=True)}
    name = f"{clips}x{crops}"
    return {
        name: Protocol(clips, crops),
        f"{name}-full": Protocol(clips, crops, full=True),
    }


# Clips x crops. 1x1 is TSM's and GSF's one centre crop, 1x10 its ten crops; 2x3-full the
# two clips (`--twice_sample`) of three crops at full resolution of their tables for
# Something-Something; 10x3-full TSM's and Non-local's for Kinetics. 10-view and 30-view
# are SlowFast's and A3D's. N-whole is the fully-convolutional test of Non-local and VSN.
PROTOCOLS: dict[str, Protocol] = {
    **_named(1, 1),
    **_named(1, 3),
    "1x10": Protocol(1, 10),
    **_named(2, 1),
    **_named(2, 3),
    **_named(10, 1),
    **_named(10, 3),
    "10-view": Protocol(10, 1, average="softmax"),
    "30-view": Protocol(10, 3, full=True, average="softmax"),
    **_named(1, WHOLE),
    **_named(2, WHOLE),
    **_named(10, WHOLE),
}


def chosen(name: str, average: str | None = None) -> Protocol:
    """Returns the protocol of that name, with another average of views if given.

    Raises:
      ValueError: there is no protocol, or no average, of that name.
    """
    protocol = pick("protocol", name, PROTOCOLS)
    if average is None:
        return protocol
    if average not in AVERAGES:
        raise ValueError(f"average must be one of {AVERAGES}, got {average!r}")
    return dataclasses.replace(protocol, average=average)
