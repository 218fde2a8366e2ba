"""The parts of `vidshift measure`, most valuable first."""

from typing import NamedTuple


class Part(NamedTuple):
    """A part's module has `keys(settings)` and `rows(settings, missing)`.

    `rows` yields rows with the keys that are missing, as soon as each is measured. The
    module of PyTorch is a script, which knows nothing of JAX.
    """

    seconds: float  # of 8.5 minutes; a call's are shared in proportion
    module: str
    title: str


PARTS = {
    "check": Part(120, "vidshift.measure.check", "Are the kernels right?"),
    "networks": Part(150, "vidshift.measure.networks", "TSN and TSM"),
    "bench": Part(60, "vidshift.measure.kernel_times", "The kernels' times"),
    "profile": Part(30, "vidshift.measure.step_profile", "Where the time goes"),
    "more": Part(60, "vidshift.measure.more_networks", "The other networks"),
    "pytorch": Part(60, "vidshift.measure.pytorch", "PyTorch beside it"),
    # With what the others leave, and then with the next call's.
    "papers": Part(30, "vidshift.measure.paper_times", "The papers' tables of latency"),
}


class Settings(NamedTuple):
    platform: str  # as lowering calls it
    dtype: str
    small: bool
