"""How time is mixed: schemes, each a function from a site of a backbone to a module."""

from vidshift.shifts.site import Scheme, Site, Unit
from vidshift.shifts.temporal import tsm, tsn

# name -> function of options that gives a scheme
SCHEMES = {"tsn": tsn, "tsm": tsm}

__all__ = ["SCHEMES", "Scheme", "Site", "Unit", "tsm", "tsn"]
