"""Tables of `vidshift schemes`: what differs from the config in each row."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from vidshift.data.annotations.arrow_of_time import place_of

# It shifts by itself.
RUBIKSNET = ("--config.model.backbone=rubiksnet_micro", "--config.model.temporal=tsn")
ATTENTION = (*RUBIKSNET, "--config.model.variant=attention")

SCHEMES = {
    "TSN": ("--config.model.temporal=tsn",),
    "TSM": ("--config.model.temporal=tsm",),
    "causal TSM": ("--config.model.temporal=tsm", "--config.model.causal=true"),
    "VSN": ("--config.model.temporal=vsn",),
    "GSM": ("--config.model.temporal=gsm",),
    "GSF": ("--config.model.temporal=gsf",),
}


class Row(NamedTuple):
    flags: tuple[str, ...]
    # Starts from the run that is given as --imagenet.
    imagenet: bool = False


class Table(NamedTuple):
    """Rows by name.

    config: what is trained where no --config is given.
    seeds: of a row, where no --seeds are given.
    group_of: a clip's id -> what it shares chance with; each clip is its own by default.
    hardened: whether the last checkpoint is evaluated once more, with soft attention.
    """

    rows: Mapping[str, Row]
    config: str = "tiny"
    seeds: tuple[int, ...] = (0,)
    group_of: Callable[[str], str] = str
    hardened: bool = False


TABLES = {
    "schemes": Table(
        {
            **{name: Row(flags) for name, flags in SCHEMES.items()},
            "causal GSF": Row(
                ("--config.model.temporal=gsf", "--config.model.causal=true")
            ),
            "I3D": Row(("--config.model.temporal=i3d",)),
            "RubiksNet": Row(RUBIKSNET),
            "causal RubiksNet": Row((*RUBIKSNET, "--config.model.causal=true")),
        }
    ),
    "rubiksnet": Table(
        {
            "interpolated": Row(RUBIKSNET),
            "quantized": Row((*RUBIKSNET, "--config.model.variant=quantized")),
            "attention": Row(ATTENTION),
            "attention budget 0.25": Row(
                (*ATTENTION, "--config.optim.attention.budget=0.25")
            ),
            "attention budget 0.05": Row(
                (*ATTENTION, "--config.optim.attention.budget=0.05")
            ),
        },
        hardened=True,
    ),
    # Real videos: which way do they play?
    "order": Table(
        {
            **{f"{name} from ImageNet": Row(f, True) for name, f in SCHEMES.items()},
            **{name: Row(flags) for name, flags in SCHEMES.items()},
            "RubiksNet": Row(
                (
                    "--config.model.backbone=rubiksnet_tiny",
                    "--config.model.temporal=tsn",
                )
            ),
        },
        config="arrow_of_time_mobilenet_v2",
        seeds=(0, 1, 2),
        group_of=place_of,
    ),
}
