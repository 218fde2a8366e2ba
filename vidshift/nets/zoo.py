"""`create`, which joins a backbone and a temporal scheme by their names."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import DTypeLike

from vidshift.command_line.suggest import near
from vidshift.layers.resolution import FRAME_RULES, Resolution
from vidshift.nets.backbones import BACKBONES
from vidshift.nets.video_network import VideoNetwork
from vidshift.shifts import AFTER, BEFORE, SCHEMES, NoPlaceError, Scheme
from vidshift.shifts.options import check_choice, check_flag, check_whole
from vidshift.shifts.site import Combined

# Options of every network: the resolution at which it looks at clips.
RESOLUTION = Resolution._fields
# Arguments that a scheme may ask for by name besides its options.
OF_NETWORK = ("num_frames", "dtype", "rngs")

Network = TypeVar("Network", bound=nnx.Module)


def pick(kind: str, name: str, table: Mapping):
    """The entry of a table of names.

    Raises:
      ValueError: no such name; the message lists the right ones.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    raise ValueError(
        f"{kind} {name!r} does not exist{near(str(name), table)}; "
        f"one of: {', '.join(table)}"
    )


def create(
    backbone: str,
    temporal: str = "tsn",
    *,
    num_classes: int,
    num_frames: int,
    dtype: DTypeLike = jnp.float32,
    in_channels: int = 3,
    rngs: nnx.Rngs | None = None,
    **options: Any,
) -> VideoNetwork:
    """Builds a network in evaluation mode.

    The model takes normalised clips `[B, T, H, W, in_channels]` to float32 logits
    `[B, num_classes]`; `model.frame_logits(clips)` gives `[B, T, num_classes]`, where
    frames have logits of their own.

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
    row = pick("backbone", backbone, BACKBONES)
    named = pick("temporal scheme", temporal, SCHEMES)
    _check_names(backbone, temporal, options)
    sizes = {"num_classes": num_classes, "num_frames": num_frames}
    sizes |= {"in_channels": in_channels}
    for name, value in sizes.items():
        check_whole(name, value, 1)
    options = {name: value for name, value in options.items() if value is not None}
    resolution = _resolution(options)
    keys = Keys(nnx.Rngs(0) if rngs is None else rngs)
    network = sizes | {"dtype": _floating(dtype), "rngs": keys}
    scheme_options = dict(row.scheme_options.get(temporal, {}))
    scheme_options |= _only(options, _options(named))
    # Schemes see the frame count after subsampling.
    subsampled = network | {"num_frames": resolution.frames or num_frames}
    schemes = _schemes(temporal, scheme_options, options, subsampled)
    mixes_time = row.mixes_time(options)
    _check_together(backbone, schemes, mixes_time, options)
    model = row.make(
        Combined(schemes.values()), **network, **_only(options, row.options)
    )
    for scheme in schemes.values():
        scheme.finish(model)
    _check_places(backbone, schemes, {temporal: scheme_options})
    keys.close()
    model.resolution = resolution
    model.causal = all(scheme.causal for scheme in schemes.values())
    model.causal &= not mixes_time or options.get("causal", False)
    return model


# Names of `create`'s arguments that are no options of a network.
ARGUMENTS = tuple(inspect.signature(create).parameters)


def without_scheme(arguments: Mapping) -> dict:
    """Arguments of `create` for the same network under TSN.

    Keeps options of the backbone; drops those of the scheme and of the resolution.
    """
    kept = (*ARGUMENTS, *BACKBONES[arguments["backbone"]].options)
    return _only(arguments, kept) | {"temporal": "tsn"}


def _only(options: Mapping, names: Iterable[str]) -> dict:
    return {name: value for name, value in options.items() if name in names}


def _options(scheme: type[Scheme]) -> set[str]:
    """Names of a scheme's options."""
    return inspect.signature(scheme).parameters.keys() - set(OF_NETWORK)


def _schemes(
    temporal: str, scheme_options: Mapping, options: Mapping, network: Mapping
) -> dict[str, Scheme]:
    """The named scheme between those that options add, by name."""

    def make(kind: type[Scheme], **options) -> Scheme:
        asked = inspect.signature(kind).parameters.keys() & set(OF_NETWORK)
        return kind(**options, **_only(network, asked))

    def added(table: Mapping) -> dict[str, Scheme]:
        for name in table:
            check_flag(name, options.get(name, False))
        return {name: make(table[name]) for name in table if options.get(name)}

    named = {temporal: make(SCHEMES[temporal], **scheme_options)}
    return added(BEFORE) | named | added(AFTER)


def _check_names(backbone: str, temporal: str, options: Mapping) -> None:
    of_scheme, of_backbone = _options(SCHEMES[temporal]), BACKBONES[backbone].options
    known = {*of_scheme, *of_backbone, *BEFORE, *AFTER, *RESOLUTION}
    if "causal" not in of_scheme:  # the backbone's alone says nothing of the scheme
        known -= {"causal"}
    unknown = sorted(options.keys() - known)
    if "width" in unknown:
        raise ValueError(
            f"{backbone} cannot be slimmed: of what it computes at a width, the weights "
            "would be no leading slices of the full network's"
        )
    if unknown:
        raise ValueError(
            f"{backbone} with {temporal} has no option {', '.join(unknown)}; "
            f"it takes: {', '.join(sorted(known))}"
        )


def _floating(dtype) -> jnp.dtype:
    try:
        dtype = jnp.dtype(dtype)
    except TypeError:
        dtype = None
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError("dtype must be a floating type, such as jnp.bfloat16")
    return dtype


def _resolution(options: Mapping) -> Resolution:
    options = _only(options, RESOLUTION)
    for name in ("side", "frames"):
        if name in options:
            check_whole(name, options[name], 1)
    if "frame_rule" in options:
        check_choice("frame_rule", options["frame_rule"], tuple(FRAME_RULES))
    return Resolution(**options)


def _check_together(
    backbone: str, schemes: Mapping[str, Scheme], mixes_time: bool, options: Mapping
) -> None:
    """Refuses options of a backbone and its schemes that contradict each other."""
    forbidden = "which causal=True forbids"
    for name, scheme in schemes.items():
        if options.get("causal") and not scheme.causal:
            raise ValueError(f"{name} reads later frames, {forbidden}")
    itself = mixes_time and "causal" not in BACKBONES[backbone].options
    if options.get("causal") and itself:
        raise ValueError(f"{backbone} reads later frames by itself, {forbidden}")
    for scheme in schemes.values():
        scheme.check_beside(options)


def _check_places(
    backbone: str, schemes: Mapping[str, Scheme], options: Mapping[str, dict]
) -> None:
    for name, scheme in schemes.items():
        sites, with_options = scheme.unmet(), options.get(name)
        if sites is not None:
            raise NoPlaceError(
                f"{backbone} has no place for {name}"
                + f" in {sites}" * bool(sites)
                + f" with {with_options}" * bool(with_options)
            )


class Keys(nnx.Rngs):
    """Keys for parameters from an `nnx.Rngs`, whose own count follows in `close`.

    Its own counter is an array. While a program is traced, flax asks at every count for
    the sharding of a value that has none, which takes milliseconds, more for each layer.
    """

    def __init__(self, rngs: nnx.Rngs):
        self.stream = rngs.params
        self.drawn = 0

    def params(self):
        count = self.stream.count[...] + self.drawn
        self.drawn += 1
        return jax.random.fold_in(self.stream.key[...], count)

    def close(self) -> None:
        self.stream.count.set_value(self.stream.count[...] + self.drawn)


def train_view(model: Network, *, group_clips: int | None = None) -> Network:
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
