"""Table of backbones: the constructor of each, and what else is asked of it by name."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from vidshift.nets import (
    bn_inception,
    inception_v3,
    mobilenet_v2,
    resnet,
    rubiksnet,
    slowfast,
)
from vidshift.nets.video_network import VideoNetwork


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """A backbone's row.

    make: `(scheme, *, num_classes, num_frames, in_channels, dtype, rngs, **options)` to
      the network.
    options: names of the options that it takes. With `causal` it mixes time itself and
      can read the past alone; with `width` its weights at a width are leading slices of
      the full ones (A3D).
    scheme_options: facts of the whole network that a scheme needs, by the scheme's name.
    image_options: options with which it sees frames one by one under TSN, where None is
      an option's default; None for all where it always mixes time itself.
    starts_from: other backbones whose weights it may start from.

    The others are of the official code, whose checkpoints `vidshift.convert` reads:
    resize, crop: short side and crop in evaluation, pixels.
    normalisation: of [0, 1], a key of `vidshift.pixels.NORMALISATIONS`.
    bgr: the code takes Caffe's pixels, BGR from 0 to 255; `normalisation` is that of
      the backbone on RGB.
    num_frames: of a clip.
    official_options: options of the network in evaluation.
    """

    make: Callable[..., VideoNetwork]
    options: tuple[str, ...] = ("dropout", "width")
    scheme_options: Mapping[str, dict[str, Any]] = dataclasses.field(
        default_factory=dict
    )
    image_options: Mapping[str, object] | None = dataclasses.field(default_factory=dict)
    starts_from: tuple[str, ...] = ()
    resize: int = 256
    crop: int = 224
    normalisation: str = "imagenet"
    bgr: bool = False
    num_frames: int = 8
    official_options: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def mixes_time(self, options: Mapping[str, Any]) -> bool:
        """Returns whether the network reads several frames without any scheme."""
        if self.image_options is None:
            return True
        needed = {k: v for k, v in self.image_options.items() if v is not None}
        return any(options.get(name) != value for name, value in needed.items())


# Official TSM shifts every second block of a network with a third stage this long.
LONG_STAGE = {"tsm": {"every_second_block": True}}
# Branches side by side are no leading slices: an Inception cannot be slimmed.
INCEPTION = {"options": ("dropout",), "bgr": True}
EVERY_BLOCK = {
    "tsm": {"placement": "block"},
    "gsm": {"ratio": 1.0},
    "gsf": {"ratio": 1.0},
}
RUBIKSNET = {
    "options": ("dropout", *rubiksnet.SHIFT_OPTIONS),
    "image_options": {"variant": "spatial"}
    | dict.fromkeys(("time", "time_init", "taps", "attention_init", "hardened")),
}
SLOW = {
    "options": ("dropout", "head_size", "width"),
    "image_options": None,
    # SlowFast's repository tests on 256 pixels what was trained on 224, whose pooling
    # it keeps.
    "crop": 256,
    "normalisation": "slowfast",
    "official_options": {"head_size": 224},
}
# Of the Fast pathway.
SLOWFAST = SLOW | {"num_frames": 32}

BACKBONES = {
    "resnet_tiny": Backbone(make=resnet.resnet_tiny),
    "resnet18": Backbone(make=resnet.resnet18),
    "resnet34": Backbone(make=resnet.resnet34),
    "resnet50": Backbone(make=resnet.resnet50),
    "resnet101": Backbone(make=resnet.resnet101, scheme_options=LONG_STAGE),
    "resnext101_32x4d": Backbone(
        make=resnet.resnext101_32x4d,
        # Its groups of channels are no leading slices: it cannot be slimmed.
        options=("dropout",),
        scheme_options=LONG_STAGE,
    ),
    "mobilenet_v2": Backbone(
        make=mobilenet_v2.mobilenet_v2,
        options=("dropout", "width_mult", "width"),
        # Half of its blocks' channels, but no quarter, is always a multiple of 4.
        scheme_options={"gsm": {"ratio": 0.5}, "gsf": {"ratio": 0.5}},
    ),
    "bn_inception": Backbone(
        make=bn_inception.BNInception, scheme_options=EVERY_BLOCK, **INCEPTION
    ),
    "inception_v3": Backbone(
        make=inception_v3.InceptionV3,
        # Official GSM differs from GSF in mixed_3, and leaves mixed_6 out.
        scheme_options=EVERY_BLOCK
        | {"gsm": {"ratio": 1.0, "elsewhere": {(1, 0): "double_3x3", (1, 3): None}}},
        resize=261,
        crop=229,
        **INCEPTION,
    ),
    "rubiksnet_micro": Backbone(make=rubiksnet.rubiksnet_micro, **RUBIKSNET),
    "rubiksnet_tiny": Backbone(make=rubiksnet.rubiksnet_tiny, **RUBIKSNET),
    "rubiksnet_small": Backbone(make=rubiksnet.rubiksnet_small, **RUBIKSNET),
    "rubiksnet_medium": Backbone(make=rubiksnet.rubiksnet_medium, **RUBIKSNET),
    "rubiksnet_large": Backbone(make=rubiksnet.rubiksnet_large, **RUBIKSNET),
    "slow_tiny": Backbone(
        make=slowfast.slow_tiny,
        options=SLOW["options"],
        image_options=None,
    ),
    "slow_8x8_r50": Backbone(
        make=slowfast.slow_8x8_r50, starts_from=("resnet50",), **SLOW
    ),
    "slowfast_4x16_r50": Backbone(make=slowfast.slowfast_4x16_r50, **SLOWFAST),
    "slowfast_8x8_r50": Backbone(make=slowfast.slowfast_8x8_r50, **SLOWFAST),
}
