"""RubiksNet (Fan et al., ECCV 2020), Large.

Values are those of supplement A6, where no other source is given. The official
repository has no training code. The paper leaves open:

- the number of epochs: about 40, since the learning rate falls at 26 and 36 and the
  attention's temperature for 40;
- how long the warm-up before the shifts' 1:100 is, and what holds before;
- augmentation ("training protocols of recent work"): here TSM's;
- what the temporal shifts start from after 2-D training;
- with attention, the weight and norm of the budget loss, the attention's own learning
  rate, and if the temperature falls by the step or by the epoch;
- any recipe for Kinetics: here Something-Something's with flips, as in TSM's recipe,
  and frames spread over the video;
- values for UCF-101 and HMDB-51, which are "similar" (A6) in "the same general learning
  schedule" (section 4.1): here the same values;
- if batch norms are frozen there: the paper follows "the standard practice from prior
  work", TSM, which freezes them, as here;
- if each network of Table 4 starts from a Kinetics network of its own kind, as in the
  commands of docs/rubiksnet.md;
- the image network's training: it says only that the spatial part is trained on
  ImageNet-1k "to reach comparable accuracy with spatial-shift image classification
  literature" (section 4.1).
"""

from vidshift.config import (
    AttentionConfig,
    Config,
    DataConfig,
    ModelConfig,
    NormConfig,
    OptimConfig,
    ShiftConfig,
)
from vidshift.recipes import clips

# "tsm-g0.1" where distances in time are learned: the official helper
# `create_3d_from_2d`'s. A causal network starts from causal TSM's pattern, one eighth of
# the channels from the frame before, and the same noise. Attention and fixed distances
# have nothing to start, so that their flags go with every recipe.
TIME_INIT = "auto"


def _train(
    data: DataConfig,
    *,
    freeze: str = "none",
    attention: AttentionConfig | None = None,
    variant: str = "interpolated",
    **model,
) -> Config:
    return Config(
        model=ModelConfig(
            backbone="rubiksnet_large",
            temporal="tsn",  # it shifts by itself
            variant=variant,
            dtype="bfloat16",
            dropout=0.3,
            time_init=TIME_INIT,
            **model,
        ),
        data=data,
        optim=OptimConfig(
            lr=0.025,
            lr_batch_size=64,
            schedule="step",
            step_epochs=(26.0, 36.0),
            weight_decay=1e-4,
            clip_norm=None,  # none is mentioned
            # Weight decay on weights alone: the official `get_optim_policy`.
            groups="plain",
            shift=ShiftConfig(
                lr=0.01,  # "1:100 ratio of the global learning rate"
                warmup_epochs=1.0,  # open in the paper
                # Equations 9 and 10; "normalizing gradients again per Equation 9"
                # (section 4.1).
                gradient="paper",
                time_factor=0.1,  # "Gradient scaling factor Z in Eq. 9 is 0.1"
            ),
            attention=attention or AttentionConfig(),
        ),
        norm=NormConfig(freeze=freeze),
        batch_size=64,
        eval_batch_size=64,
        epochs=40,
    )


def something(name: str, *, causal: bool | None = None) -> Config:
    """Returns the recipe for Something-Something. Causal networks are ours."""
    # Left and right are part of the classes.
    data = clips.rgb(name, flip=False)
    return _train(data, causal=causal)


def something_attention(name: str) -> Config:
    """Returns the recipe for whole shifts in time, chosen by attention (section 4.1).

    `optim.shift` then trains the shifts in space alone.
    """
    return _train(
        clips.rgb(name, flip=False),
        variant="attention",
        attention_init="paper",  # Uniform[1, 1.05]
        attention=AttentionConfig(
            temperature_start=2.0,
            temperature_end=1e-3,
            anneal_epochs=40.0,
            # Table 5's, and the released network's. 0.25, the fraction of channels that
            # TSM moves, is that of Table 4 and Figure 5.
            budget=0.125,
            # Ours, as the learning rate: open in the paper.
            budget_weight=1.0,
            budget_norm="absolute",
        ),
    )


def kinetics() -> Config:
    """Returns Something-Something's recipe for Kinetics-400, with flips.

    `model.variant`, `model.time` and `model.space` make it any network of Table 4.
    """
    return _train(clips.rgb("kinetics400"))


def finetune(name: str) -> Config:
    """Returns the recipe for UCF-101 and HMDB-51, from a Kinetics network.

    Values are those of Something-Something v2, with flips, and batch norms keep the
    Kinetics network's statistics, scales and biases.
    """
    return _train(clips.rgb(name, **clips.FIRST_SPLIT), freeze="all")


def imagenet() -> Config:
    """Returns a recipe of ours for the image network that the video networks start from.

    Neither the paper nor the official repository gives an accuracy, a recipe or weights.
    Values are the usual ones of ResNets (He et al., 2016; Goyal et al., 2017).
    """
    return Config(
        model=ModelConfig(
            backbone="rubiksnet_large",
            temporal="tsn",
            variant="spatial",
            dtype="bfloat16",
            dropout=0.0,
        ),
        data=DataConfig(
            name="tfds_images",  # imagenet2012 is its default
            test_split="",  # the labels of ImageNet's are not public
            num_frames=1,  # an image is a clip of one frame
            area=(0.08, 1.0),
            workers=8,
        ),
        optim=OptimConfig(
            lr=0.1,
            lr_batch_size=256,
            schedule="step",
            step_epochs=(30.0, 60.0, 80.0),
            warmup_epochs=5.0,  # Goyal et al., for large batches
            nesterov=True,
            weight_decay=1e-4,
            clip_norm=None,
            # The video recipe's 1:100; a gradient of two axes is their direction.
            shift=ShiftConfig(lr=0.01, gradient="paper"),
        ),
        batch_size=256,
        eval_batch_size=256,
        epochs=90,
    )
