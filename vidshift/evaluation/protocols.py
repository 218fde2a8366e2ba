"""Test protocols by name: how many clips of a video, how many crops of a clip.

Logits are averaged over frames, then over clips and crops, without a softmax, as TSM's
test script does by default. Where a clip has several labels the maximum over clips and
crops is taken, as SlowFast's official code does for Charades.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Protocol:
    """`clips` are spread over the video's segments; `crops` is 1 (centre) or 3."""

    clips: int
    crops: int


# clips x crops. 2 clips are TSM's "twice sample"; 3 crops lie left, centre and right
# (or top, centre and bottom) along the longer side.
PROTOCOLS = {
    "1x1": Protocol(1, 1),
    "1x3": Protocol(1, 3),
    "2x1": Protocol(2, 1),
    "2x3": Protocol(2, 3),
    "10x1": Protocol(10, 1),
    "10x3": Protocol(10, 3),
}
