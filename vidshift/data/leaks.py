"""Fits linear classifiers of the direction to what should not tell it.

The clips of a place have the same frames forwards and backwards. A feature tells the
direction if it depends on the order in the file: the bytes of the frame at each position,
which a codec with a direction of time would make differ, and the pixels of the frame at
one position. Least squares on the training split, accuracy on the test split.
"""

import io
from collections.abc import Callable

import av
import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from vidshift.data.annotations.arrow_of_time import DIRECTIONS, SPEEDS
from vidshift.data.sources import arrow_of_time
from vidshift.data.sources.split import Split

# Side of the frame whose pixels are features.
SIDE = 12
# Of the sum of squares of the weights, for each clip; features have variance 1.
RIDGE = 1e-2


def report(data_dir: str) -> None:
    """Prints a line for each kind of feature; errors as `arrow_of_time.open_split`."""
    splits = [
        arrow_of_time.open_split(split, data_dir=data_dir)
        for split in ("train", "test")
    ]
    clips = [len(split.source) for split in splits]
    # The clips of a place are right or wrong together.
    places = clips[1] // (len(DIRECTIONS) * len(SPEEDS))
    print(
        f"direction by least squares, {clips[0]:,} clips of train, {clips[1]:,} of test: "
        f"chance is 50 %, with a standard error of {50 / places**0.5:.1f} for the "
        f"{places:,} places of the test"
    )
    for name, (train, test) in accuracies(*splits).items():
        print(f"{name:28} train {100 * train:5.1f} %   test {100 * test:5.1f} %")


def accuracies(train: Split, test: Split) -> dict[str, tuple[float, float]]:
    """Returns the accuracy on train and test of each kind of feature."""
    (inputs, labels), (test_inputs, test_labels) = _read(train), _read(test)
    found = {}
    for name in inputs:
        weights = fit(inputs[name], labels)
        found[name] = (
            _accuracy(weights, inputs[name], labels),
            _accuracy(weights, test_inputs[name], test_labels),
        )
    return found


def fit(
    features: Float[np.ndarray, "N D"], labels: Int[np.ndarray, " N"]
) -> Callable[[Float[np.ndarray, "N D"]], np.ndarray]:
    """Returns a function from features to scores, positive for label 1."""
    mean, deviation = features.mean(0), features.std(0)
    scale = np.where(deviation > 0, deviation, 1.0)

    def normalised(features):
        return np.c_[(features - mean) / scale, np.ones(len(features))]

    rows = normalised(features)
    gram = rows.T @ rows + RIDGE * len(rows) * np.eye(rows.shape[1])
    weights = np.linalg.solve(gram, rows.T @ (2.0 * labels - 1))
    return lambda features: normalised(features) @ weights


def _accuracy(score, features: np.ndarray, labels: np.ndarray) -> float:
    return float(((score(features) > 0) == (labels == 1)).mean())


def _read(split: Split) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns features `[N, D]` by their name, and labels `[N]`."""
    rows: dict[str, list] = {}
    labels = []
    for number in range(len(split.source)):
        record = split.source[number]
        sizes = frame_bytes(record["video"])
        frames = split.decode(record["video"], range(record["num_frames"]))
        features = {
            "bytes of the file": [len(record["video"])],
            "bytes of the first frame": sizes[:1],
            "bytes of each frame": sizes,
        }
        # A frame of the second half is one of the first half, of the other direction.
        for position, frame in enumerate(frames[: len(frames) // 2]):
            small = Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BOX)
            pixels = np.asarray(small, np.float64).ravel()
            features[f"pixels of frame {position}"] = pixels
        for name, values in features.items():
            rows.setdefault(name, []).append(values)
        labels.append(record["label"])
    return {name: np.array(it, np.float64) for name, it in rows.items()}, np.array(
        labels
    )


def frame_bytes(file: bytes) -> list[int]:
    """Returns the encoded size of each frame in the order of the file."""
    with av.open(io.BytesIO(file)) as container:
        return [packet.size for packet in container.demux(video=0) if packet.size]
