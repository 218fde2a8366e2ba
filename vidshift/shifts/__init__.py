"""How time is mixed: schemes, each a function from a site of a backbone to a module."""

from vidshift.shifts.site import Scheme, Site, Unit, put
from vidshift.shifts.temporal import tsm, tsn

# name -> function of options that gives a scheme. An option named `rngs`, `dtype` or
# `num_frames` is the network's own.
SCHEMES = {"tsn": tsn, "tsm": tsm}

# Option of `vidshift.create` -> what it adds under any scheme, itself a scheme: before
# the named one sees a site, or after.
BEFORE = {}
AFTER = {}

__all__ = ["AFTER", "BEFORE", "SCHEMES", "Scheme", "Site", "Unit", "put", "tsm", "tsn"]
