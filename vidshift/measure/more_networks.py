"""Times of the networks besides TSN and TSM, as `networks` has them."""

from collections.abc import Iterator

from vidshift.measure.networks import keys_of, rows_of
from vidshift.measure.parts import Settings

NAMES = (
    "resnet50/gsf",
    "resnet50/vsn",
    "rubiksnet_large/tsn",
    "slowfast_4x16_r50/tsn",
    "slow_8x8_r50/tsn",
    "rubiksnet_tiny/tsn",
    "rubiksnet_small/tsn",
    "rubiksnet_medium/tsn",
)
SMALL_NAMES = ("resnet_tiny/gsf", "rubiksnet_micro/tsn")


def keys(settings: Settings) -> list[str]:
    return keys_of(settings, SMALL_NAMES if settings.small else NAMES)


def rows(settings: Settings, missing: set[str]) -> Iterator[dict]:
    yield from rows_of(settings, SMALL_NAMES if settings.small else NAMES, missing)
