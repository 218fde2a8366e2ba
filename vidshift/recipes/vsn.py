"""Video Shuffle Networks (Ma et al., 2019), by section 3.4; there is no official code.

The paper leaves open:

- the schedule ("both the multi-step learning rate decaying and cosine learning rate
  schedule with warm-up depending on dataset") and the epochs: here TSM's, whose blocks
  VSN's stand among. A cosine is `optim.schedule=cosine` with `optim.warmup_epochs=5`;
- learning-rate multipliers and clipping: here those of TSM's code;
- how often a test takes a video's 8 frames and how scores are averaged: here once.

Clips are flipped "except actions are horizontal-order-sensitive in Something-Something":
those of a class whose mirror image is another class, such as "Pushing something from left
to right", are not. `data.flip_paired=true` flips them too and swaps their class.
"""

from vidshift.config import Config, DataConfig
from vidshift.recipes import clips, tsm


def _train(data: DataConfig) -> Config:
    # "We freeze all batch normalization except the first convolution layer."
    data.flip_paired = False
    return tsm.train(
        data,
        temporal="vsn",
        dropout=0.8,
        freeze="partial",
        recipe="paper",
        differences=(),
    )


def rgb(name: str) -> Config:
    """Returns the recipe for RGB: "corner cropping and scale-jittering", as in TSN."""
    return _train(clips.rgb(name))


def flow(name: str) -> Config:
    """Returns the recipe for optical flow, 8 stacks of 5.

    Segments are sampled "like RGB" (section 4.4), and no other value is given: they are
    those of `rgb`, with TSN's and TSM's treatment of flow. How the streams are weighted
    the paper does not say, nor, for Something-Something v2, the size of a stack.
    """
    return _train(clips.flow(name))
