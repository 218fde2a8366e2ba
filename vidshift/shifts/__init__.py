"""How time is mixed: schemes, each a function from a site of a backbone to a module."""

from vidshift.shifts import non_local, temporal_pool
from vidshift.shifts.gated import gsf, gsm
from vidshift.shifts.inflated import i3d
from vidshift.shifts.shuffle import vsn
from vidshift.shifts.site import NoPlaceError, Scheme, Site, Unit, put
from vidshift.shifts.temporal import tsm, tsn

# name -> function of options that gives a scheme. An option named `rngs`, `dtype` or
# `num_frames` is the network's own.
SCHEMES = {"tsn": tsn, "tsm": tsm, "vsn": vsn, "gsm": gsm, "gsf": gsf, "i3d": i3d}

# Option of `vidshift.create` -> what it adds under any scheme, itself a scheme: before
# the named one sees a site, or after.
BEFORE = {"temporal_pool": temporal_pool.temporal_pool}
AFTER = {"non_local": non_local.non_local}

__all__ = [
    "AFTER",
    "BEFORE",
    "SCHEMES",
    "NoPlaceError",
    "Scheme",
    "Site",
    "Unit",
    "put",
    "tsm",
    "tsn",
]
