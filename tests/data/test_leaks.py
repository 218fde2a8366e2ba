"""The linear classifiers find what is there, and the bytes of a frame."""

import numpy as np

from tests.support import moving_square
from vidshift.data import leaks
from vidshift.data.media.encoding import encode_keyframes
from vidshift.data.sources.split import Split


def clips(count: int, *, brighter: int, seed: int) -> Split:
    """Backward clips of a square; their first frame is brighter than a forward one's."""
    records = []
    for number in range(count):
        frames = moving_square.frames(3 / 12, side=32, seed=seed + number)
        for label in (0, 1):
            shown = frames[:: 1 - 2 * label].copy()
            shown[0] = np.clip(shown[0].astype(int) + brighter * label, 0, 255)
            video = encode_keyframes(shown, fps=12.0)
            records.append(
                {"video": video, "label": label, "id": f"{number}", "num_frames": 4}
            )
    return Split(records, ("forward", "backward"))


def test_a_leak_is_found():
    found = leaks.accuracies(
        clips(40, brighter=60, seed=0), clips(20, brighter=60, seed=1000)
    )
    assert found["pixels of frame 0"][1] > 0.9
    assert abs(found["pixels of frame 1"][1] - 0.5) < 0.25
    assert found.keys() == {
        *("bytes of the file", "bytes of the first frame", "bytes of each frame"),
        *("pixels of frame 0", "pixels of frame 1"),
    }


def test_bytes_of_frames_are_those_of_the_pictures():
    rng = np.random.default_rng(0)
    frames = np.full((4, 32, 32, 3), 128, np.uint8)
    frames[2] = rng.integers(0, 256, frames[2].shape)
    sizes = leaks.frame_bytes(encode_keyframes(frames, fps=12.0))
    assert len(sizes) == 4 and np.argmax(sizes[1:]) == 1
    back = leaks.frame_bytes(encode_keyframes(frames[::-1], fps=12.0))
    # The first has the codec's settings too.
    assert np.argmax(back[1:]) == 0


def test_least_squares_divides_what_a_line_divides():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 3)) + [0, 100, 0]
    labels = (features[:, 0] - features[:, 2] > 0).astype(int)
    constant = np.c_[features, np.ones(200)]
    score = leaks.fit(constant, labels)
    assert ((score(constant) > 0) == labels).mean() > 0.95
