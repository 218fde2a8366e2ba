"""Another name, in a clone, for the public operations of `vidshift.kernels`."""

from vidshift.kernels import *
from vidshift.kernels import __all__  # noqa: F401
