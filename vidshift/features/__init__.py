"""Features of videos, for networks that localise actions and for probes.

`extract(run, video)` gives those of one video, window by window.
"""

from typing import TYPE_CHECKING

from vidshift import lazy

if TYPE_CHECKING:
    from vidshift.features.extraction import extract

__all__ = ["extract"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazy.attributes(
        __name__, {"extract": "vidshift.features.extraction"}
    )
