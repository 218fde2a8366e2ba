"""Schemes, which mix time: each a class that fills the sites of a backbone."""

from vidshift.shifts.gated import GSF, GSM
from vidshift.shifts.grouped import GST
from vidshift.shifts.inflated import I3D
from vidshift.shifts.motion_squeeze import MotionSqueezing
from vidshift.shifts.non_local import NonLocalBlocks
from vidshift.shifts.relations import TRN
from vidshift.shifts.shuffle import VSN
from vidshift.shifts.site import (
    Block,
    FrameMixer,
    NoPlaceError,
    Scheme,
    Site,
    Unit,
)
from vidshift.shifts.temporal import TSM, TSN
from vidshift.shifts.temporal_pool import TemporalPooling

# Name -> `Scheme`, whose constructor's arguments are its options. A new scheme is a row.
SCHEMES: dict[str, type[Scheme]] = {
    "tsn": TSN,
    "tsm": TSM,
    "vsn": VSN,
    "gsm": GSM,
    "gsf": GSF,
    "i3d": I3D,
    "gst": GST,
    "trn": TRN,
}

# Option of `vidshift.create` -> the scheme that it adds to any other: before the named
# one sees a site, or after.
BEFORE = {"temporal_pool": TemporalPooling}
AFTER = {"non_local": NonLocalBlocks, "motion_squeeze": MotionSqueezing}

__all__ = [
    "AFTER",
    "BEFORE",
    "SCHEMES",
    "Block",
    "FrameMixer",
    "NoPlaceError",
    "Scheme",
    "Site",
    "Unit",
]
