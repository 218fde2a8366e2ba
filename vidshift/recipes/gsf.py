"""GSM and GSF (Sudhakaran et al., TPAMI 2023).

The official code's values, `recipe=code`, are what its commands run and the default.
`recipe=paper` has the paper's where they differ. The paper says nothing of a clipped
gradient norm (20) and of the learning rate at the warm-up's start (a tenth): both recipes
have the code's.
"""

from vidshift.config import Config, ModelConfig, OptimConfig
from vidshift.data.device.augment import Augment
from vidshift.differences import Difference
from vidshift.nets import BACKBONES
from vidshift.pixels import official_pixels
from vidshift.recipes import clips

DECAY = Difference(
    "optim.weight_decay", 1e-4, "section 4.2", 5e-4, "the default of utils/opts.py"
)
# "We apply autoaugment", section 4.5 of EPIC-Kitchens, whose policy it does not say.
EPIC_ALONE = "sections 4.2, 4.5: EPIC-Kitchens alone"
AUGMENTATION = Difference(
    "data.augment.rand_ops", 0, EPIC_ALONE, 2, "main.py, rand-m9-mstd0.5"
)


def train(
    name: str,
    *,
    backbone: str = "resnet50",
    causal: bool | None = None,
    num_frames: int = 8,
    batch_size: int = 32,
    validation_split: str = "validation",
) -> Config:
    """Returns the recipe of github.com/swathikirans/GSF, the same for all data sets.

    Values are those of its README's command and the defaults of its utils/opts.py, where
    no other source is given. "We use the same setting for training GSFs on all the
    datasets" (section 4.2); on Diving48 and EPIC-Kitchens "all training settings are the
    same [...] except for the batch size" (section 4.5), which is 8 on Diving48.

    Differences: the official learning rate stays the same for an epoch (here it changes
    step by step), and RandAugment comes before the crop (here after it). The code of
    EPIC-Kitchens ("all models are trained with 16 frames as a multitask problem") was
    not released: here one head has the classes of the three tasks, whose losses are
    added, and `top1` is the action's. Causal networks are ours.

    Args:
      backbone: decides size and normalisation of the pixels too. The Inceptions' weights
        come from Caffe and take pixels from 0 to 255, less their mean. (Theirs are BGR;
        `vidshift convert` turns the first convolution round.)
      batch_size: clips; the learning rate is the same at every batch size.
    """
    on_epic = name == "epic_kitchens100"
    return Config(
        recipe="code",
        differences=(DECAY,) if on_epic else (DECAY, AUGMENTATION),
        model=ModelConfig(
            backbone=backbone,
            temporal="gsf",
            causal=causal,
            dtype="bfloat16",
            dropout=0.5,
        ),
        data=clips.rgb(
            name,
            validation_split=validation_split,
            num_frames=num_frames,
            augment=Augment(rand_ops=2, rand_magnitude=9.0, rand_std=0.5),
            flip=True,  # left and right swap the class
            **official_pixels(backbone, bgr=BACKBONES[backbone].bgr)._asdict(),
        ),
        optim=OptimConfig(
            lr=0.01,
            lr_batch_size=batch_size,
            schedule="cosine",
            warmup_epochs=10.0,
            warmup_lr=0.001,  # a tenth, utils/CosineAnnealingLR.py
            weight_decay=5e-4,
            clip_norm=20.0,
            groups="uniform",  # multipliers are defined there, but nothing applies them
        ),
        # Statistics of the whole batch; the official ones are those of each GPU's part.
        batch_size=batch_size,
        eval_batch_size=batch_size,
        epochs=60,
    )
