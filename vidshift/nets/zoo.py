"""Names of backbones, and `create`, which joins a backbone and a temporal scheme."""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import nnx

from vidshift.layers.resolution import FRAME_RULES, Resolution
from vidshift.nets import (
    bn_inception,
    inception_v3,
    mobilenet_v2,
    resnet,
    rubiksnet,
    slowfast,
)
from vidshift.shifts import AFTER, BEFORE, SCHEMES, NoPlaceError
from vidshift.shifts.options import check_choice, check_flag, check_whole


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A constructor, its own options, and what it makes of a scheme's options.

    `scheme_options` holds, for a scheme's name, what only the whole network knows.
    """

    make: Callable
    options: tuple[str, ...] = ("dropout", "width")
    scheme_options: Mapping[str, dict] = dataclasses.field(default_factory=dict)


# RubiksNet's own options.
RUBIKSNET = ("dropout", "variant", "space", "time", "time_init", "max_shift")
RUBIKSNET += ("taps", "attention_init", "hardened", "causal")
# Options of Slow and SlowFast.
SLOWFAST = ("dropout", "head_size", "width")
BACKBONES = {
    "resnet_tiny": Backbone(resnet.resnet_tiny),
    "resnet18": Backbone(resnet.resnet18),
    "resnet34": Backbone(resnet.resnet34),
    "resnet50": Backbone(resnet.resnet50),
    # Official TSM shifts every second block of a network with a third stage this long.
    "resnet101": Backbone(
        resnet.resnet101, scheme_options={"tsm": {"every_second_block": True}}
    ),
    "resnext101_32x4d": Backbone(
        resnet.resnext101_32x4d,
        # Its groups of channels are no leading slices: it cannot be slimmed.
        options=("dropout",),
        scheme_options={"tsm": {"every_second_block": True}},
    ),
    # Half of its blocks' channels, but no quarter, is always a multiple of 4.
    "mobilenet_v2": Backbone(
        mobilenet_v2.mobilenet_v2,
        options=("dropout", "width_mult", "width"),
        scheme_options={"gsm": {"ratio": 0.5}, "gsf": {"ratio": 0.5}},
    ),
    "bn_inception": Backbone(
        bn_inception.BNInception,
        options=("dropout",),  # branches side by side are no leading slices
        scheme_options={
            "tsm": {"placement": "block"},
            "gsm": {"ratio": 1.0},
            "gsf": {"ratio": 1.0},
        },
    ),
    "inception_v3": Backbone(
        inception_v3.InceptionV3,
        options=("dropout",),
        scheme_options={
            "tsm": {"placement": "block"},
            # Official GSM differs from GSF in mixed_3, and leaves mixed_6 out.
            "gsm": {"ratio": 1.0, "elsewhere": {(1, 0): "double_3x3", (1, 3): None}},
            "gsf": {"ratio": 1.0},
        },
    ),
    "rubiksnet_micro": Backbone(rubiksnet.rubiksnet_micro, RUBIKSNET),
    "rubiksnet_tiny": Backbone(rubiksnet.rubiksnet_tiny, RUBIKSNET),
    "rubiksnet_small": Backbone(rubiksnet.rubiksnet_small, RUBIKSNET),
    "rubiksnet_medium": Backbone(rubiksnet.rubiksnet_medium, RUBIKSNET),
    "rubiksnet_large": Backbone(rubiksnet.rubiksnet_large, RUBIKSNET),
    "slow_tiny": Backbone(slowfast.slow_tiny, SLOWFAST),
    "slow_8x8_r50": Backbone(slowfast.slow_8x8_r50, SLOWFAST),
    "slowfast_4x16_r50": Backbone(slowfast.slowfast_4x16_r50, SLOWFAST),
    "slowfast_8x8_r50": Backbone(slowfast.slowfast_8x8_r50, SLOWFAST),
}
# Of every network: the resolution at which it looks at clips.
RESOLUTION = Resolution._fields
# What a scheme may ask for by name besides its options.
OF_NETWORK = ("num_frames", "dtype", "rngs")


def pick(kind: str, name: str, table: Mapping):
    """The entry of a table of names.

    Raises:
      ValueError: no such name; the message lists the right ones.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    close = difflib.get_close_matches(str(name), table, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(
        f"{kind} {name!r} does not exist{hint}; one of: {', '.join(table)}"
    )


def create(
    backbone: str,
    temporal: str = "tsn",
    *,
    num_classes: int,
    num_frames: int,
    dtype=jnp.float32,
    in_channels: int = 3,
    rngs: nnx.Rngs | None = None,
    **options,
) -> nnx.Module:
    """Builds a network in evaluation mode.

    The model takes normalised clips `[B, T, H, W, in_channels]` to float32 logits
    `[B, num_classes]`; `model.frame_logits(clips)` gives `[B, T, num_classes]`.

    Args:
      backbone: a name in `vidshift.BACKBONES`.
      temporal: a name in `vidshift.SCHEMES`.
      num_classes: width of the head.
      num_frames: frames a clip. Networks whose weights do not depend on it accept
        other lengths when called.
      dtype: compute type; inputs are cast to it, parameters stay float32.
      in_channels: channels of a frame.
      rngs: source of the initial weights; None means `nnx.Rngs(0)`.
      **options: of the backbone (`dropout=0.0`) or of the scheme (TSM: `fold_div=8`,
        `placement="blockres"|"block"`), or of both (`causal=True`: no frame reads a later
        one, and `vidshift.stream` can see them one by one). Of any network, `side`, `frames`
        and `frame_rule`: it looks at clips that it has made smaller itself
        (`vidshift.layers.resolution`); and of most, `width`: the network slimmed to that
        share of its channels, whose weights are leading slices of the full one's (A3D).
        Of SlowFast all three are the Slow pathway's.

    Raises:
      ValueError: a name or an option that does not exist, with the right ones.
      NoPlaceError: a backbone and a scheme that do not go together.
    """
    base = pick("backbone", backbone, BACKBONES)
    make_scheme = pick("temporal scheme", temporal, SCHEMES)
    of_scheme = inspect.signature(make_scheme).parameters.keys() - set(OF_NETWORK)
    known = {*of_scheme, *base.options, *BEFORE, *AFTER, *RESOLUTION}
    if "causal" not in of_scheme:  # the backbone's alone says nothing of the scheme
        known -= {"causal"}
    known = sorted(known)
    unknown = sorted(options.keys() - set(known))
    if "width" in unknown:
        raise ValueError(
            f"{backbone} cannot be slimmed: of what it computes at a width, the weights "
            "would be no leading slices of the full network's"
        )
    if unknown:
        raise ValueError(
            f"{backbone} with {temporal} has no option {', '.join(unknown)}; "
            f"it takes: {', '.join(known)}"
        )
    sizes = {"num_classes": num_classes, "num_frames": num_frames}
    for name, value in (sizes | {"in_channels": in_channels}).items():
        check_whole(name, value, 1)
    try:
        dtype = jnp.dtype(dtype)
    except TypeError:
        dtype = None
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError("dtype must be a floating type, such as jnp.bfloat16")
    options = {name: value for name, value in options.items() if value is not None}
    resolution = _resolution({k: v for k, v in options.items() if k in RESOLUTION})
    keys = Keys(nnx.Rngs(0) if rngs is None else rngs)
    network = {"num_frames": num_frames, "dtype": dtype, "rngs": keys}
    # What is left of a clip is what frames are to a scheme.
    of_network = network | {"num_frames": resolution.frames or num_frames}

    def scheme_of(make, options):
        asked = inspect.signature(make).parameters.keys() & of_network.keys()
        return Counted(make(**options, **{name: of_network[name] for name in asked}))

    scheme_options = dict(base.scheme_options.get(temporal, {}))
    scheme_options |= {k: v for k, v in options.items() if k in of_scheme}
    schemes = {temporal: scheme_of(make_scheme, scheme_options)}
    for name in (*BEFORE, *AFTER):
        if _flag(name, options) and options.get("causal"):
            raise ValueError(f"{name} reads later frames, which causal=True forbids")
    itself = "causal" not in base.options and mixes_time(backbone, options)
    if itself and options.get("causal"):
        raise ValueError(
            f"{backbone} reads later frames by itself, which causal=True forbids"
        )
    shuffled = options.get("shuffle_stages") or (1,)
    if temporal == "vsn" and options.get("temporal_pool") and any(shuffled):
        raise ValueError(
            f"vsn's weights belong to num_frames={num_frames} frames, of which "
            "temporal_pool leaves half after the first stage: shuffle_stages=(0,) alone "
            "goes with it"
        )
    for name, make in BEFORE.items():
        if _flag(name, options):
            schemes = {name: scheme_of(make, {})} | schemes
    for name, make in AFTER.items():
        if _flag(name, options):
            schemes[name] = scheme_of(make, {})

    def all_of_them(site, module):
        for scheme in schemes.values():
            module = scheme(site, module)
        return module

    model = base.make(
        all_of_them,
        num_classes=num_classes,
        in_channels=in_channels,
        **network,
        **{k: v for k, v in options.items() if k in base.options},
    )
    for name, scheme in schemes.items():
        if name != "tsn" and (scheme.missing or not scheme.used):
            raise NoPlaceError(
                f"{backbone} has no place for {name}"
                + f" in {', '.join(sorted(scheme.missing))}" * bool(scheme.missing)
                + f" with {scheme_options}" * bool(scheme_options and name == temporal)
            )
    keys.close()
    model.resolution = resolution
    added = any(_flag(name, options) for name in (*BEFORE, *AFTER))
    alone = temporal == "tsn" and not mixes_time(backbone, options) and not added
    # Whether no frame reads a later one, so that a stream can be seen frame by frame.
    model.causal = alone or options.get("causal", False)
    return model


def _resolution(options: dict) -> Resolution:
    for name in ("side", "frames"):
        if name in options:
            check_whole(name, options[name], 1)
    if "frame_rule" in options:
        check_choice("frame_rule", options["frame_rule"], tuple(FRAME_RULES))
    return Resolution(**options)


class Keys(nnx.Rngs):
    """The keys that an `nnx.Rngs` gives for parameters, which it then has given.

    Its own counter is an array. While a program is traced, flax asks at every count for
    the sharding of a value that has none, which takes milliseconds, more for each layer.
    """

    def __init__(self, rngs: nnx.Rngs):
        self.stream = rngs.params
        self.given = 0

    def params(self):
        count = self.stream.count[...] + self.given
        self.given += 1
        return jax.random.fold_in(self.stream.key[...], count)

    def close(self) -> None:
        self.stream.count.set_value(self.stream.count[...] + self.given)


class Counted:
    """A scheme that counts the sites it changed something at."""

    def __init__(self, scheme):
        self.scheme = scheme
        self.used = 0
        self.missing = getattr(scheme, "missing", set())

    def __call__(self, site, module):
        before = dict(vars(module))
        new = self.scheme(site, module)
        self.used += new is not module or any(
            vars(module)[name] is not value for name, value in before.items()
        )
        return new


def mixes_time(backbone: str, options: Mapping) -> bool:
    """Whether a backbone reads several frames without any scheme."""
    if "variant" in BACKBONES[backbone].options:
        return options.get("variant") != "spatial"
    return backbone.startswith("slow")


def _flag(name: str, options: Mapping) -> bool:
    value = options.get(name, False)
    check_flag(name, value)
    return value


def train_view(model: nnx.Module, *, group_clips: int | None = None) -> nnx.Module:
    """The same model in training mode: batch statistics and dropout, shared parameters.

    Calling it updates the shared running statistics. With dropout it is called as
    `train_view(model)(clips, rngs=key)`.

    Args:
      group_clips: batch norm over groups of that many clips; None the whole batch.
    """
    return nnx.view(
        model,
        use_running_average=False,
        deterministic=False,
        group_clips=group_clips or 0,
    )
