"""Data of the recipes: a prepared data set, sampled and cropped as in TSN and TSM."""

from vidshift.config import DataConfig
from vidshift.data.sources.prepared import Prepared

# Sides of TSN's corner crops, as fractions of the short side.
SCALES = (1.0, 0.875, 0.75, 0.66)
# The first of the three splits of UCF-101 and HMDB-51. Papers average over all three.
FIRST_SPLIT = {"train_split": "train_1", "validation_split": "test_1"}


def rgb(name: str, **fields) -> DataConfig:
    """Returns RGB clips of 8 frames, with other fields of `DataConfig` as given.

    There is no test split: papers report the validation split, and the test splits of
    most data sets have no public labels.
    """
    defaults = {"num_frames": 8, "resize": 256, "crop": 224, "scales": SCALES}
    defaults |= {"options": Prepared(), "test_split": ""}
    return DataConfig(name=name, **(defaults | fields))


def flow(name: str, *, num_frames: int = 8) -> DataConfig:
    """Returns clips of optical flow: stacks of 5, as in TSN and the official TSM code.

    The normalisation, the scales and the flips are those of ops/models.py and main.py.
    A mirrored clip has its class swapped, which the official code forgets with flow; VSN
    leaves such clips as they are.
    """
    return rgb(
        name,
        options=Prepared(modality="flow", stack=5),
        num_frames=num_frames,
        scales=SCALES[:3],
        flip=True,
        mean=(0.5,),
        std=(0.226,),
    )
