"""GSM and GSF: a gate, a shift and a fusion between a convolution and its norm."""

from collections.abc import Mapping
from types import MappingProxyType

from flax import nnx

from vidshift.layers.initializers import he_fan_out, torch_default
from vidshift.shifts.gate import GatedUnit, GateShiftFuse
from vidshift.shifts.options import check_choice, check_flag, check_number, check_whole
from vidshift.shifts.site import Scheme, Site, Unit

GATES = ("learned", *GateShiftFuse.FIXED)
FUSIONS = ("learned", "sum")
BRANCHES = ("1x1", "3x3", "double_3x3", "pool")


class GSF(Scheme):
    """Gate-Shift-Fuse (Sudhakaran et al., TPAMI 2023; the official code's form).

    Tables 3 and 4 and the code put the module of a residual branch after its last
    convolution; the paper's text says after the second.

    Args:
      dtype, rngs: the network's.
      ratio: share of a unit's channels that pass the module: 0.25 is the paper's for
        ResNet, 1.0 that for Inception. One channel more if their number is odd; it has to
        be a multiple of 4. A slimmed network (A3D) keeps all that pass: their halves
        would not be the same ones.
      place: in residual branches None or "last", their last unit; "conv1", "conv2", ...,
        that unit; "all", every one (Table 3). In Inception's blocks None or "least", the
        first unit of the branch with the fewest; "1x1", "3x3", "double_3x3" or "pool",
        the last unit of that branch, and as "least" in a block without it; "all", the
        last unit of every branch (Table 1, see below).
      modules: gate only the last that many blocks of those that have the place (Tables 6
        and 7); None means all of them.
      gate: "learned", or 1, -1 or 0 at every place (Table 5: TSM, a temporal difference,
        TSN).
      fusion: "learned" or "sum" (Table 5: GSM).
      causal: read the past only: both halves of the channels come from the frame before,
        and the gate and the fusion read the two frames before and the present one. Ours,
        not the papers' (`vidshift.shifts.gate` says why so); parameters have the same
        shapes, but those that were trained with later frames mean something else.

    Table 1 counts its branches from 1 without names. With 29 C + 40 parameters a module,
    "pool" gives branch 1 (10.48 M), "3x3" branch 3 and None branch 4 (10.50 M), with their
    FLOPs, and "all" 10.62 M. Branch 2 (10.49 M) is then "double_3x3", whose last units
    have 10.495 M; both its figures would fit if BN-Inception's two blocks of stride 2 had
    the module after their first unit instead, which no text says. FLOPs of "all" (16.72 G
    against about 16.70 G here) are not explained.

    Raises:
      ValueError: a value that an option does not take, a place that the network does not
        have, or a number of channels that is no multiple of 4.
    """

    zero_gate = False
    # Blocks of Inception whose place is another one: (stage, block) -> branch or None.
    elsewhere: Mapping[tuple[int, int], str | None] = MappingProxyType({})

    def __init__(
        self,
        *,
        dtype,
        rngs: nnx.Rngs,
        ratio: float = 0.25,
        place: str | None = None,
        modules: int | None = None,
        gate: str | int = "learned",
        fusion: str = "learned",
        causal: bool = False,
    ):
        check_number("ratio", ratio, above=0, at_most=1)
        check_choice("gate", gate, GATES)
        check_choice("fusion", fusion, FUSIONS)
        check_flag("causal", causal)
        self.ratio, self.chosen_place, self.modules = ratio, place, modules
        self.causal = causal
        self.options = {"gate": gate, "fusion": fusion, "causal": causal}
        self.options |= {"dtype": dtype, "rngs": rngs}
        self.missing = set()
        if modules is not None:
            check_whole("modules", modules, 1)
            self.missing.add(f"{modules} blocks")
        # (stage, block) -> its units with a gate and what was in their slots, from the
        # input on.
        self.gated = {}

    def place(self, site: Site, module: nnx.Module) -> nnx.Module:
        if site.whole_block or not (site.residual or site.branch):
            return module
        self.missing.discard(f"block {site.block} of stage {site.stage}")
        if not self._gates(site):
            return module
        channels = int(site.out_channels * self.ratio)
        channels += channels % 2
        if channels % 4 or not channels:
            raise ValueError(
                f"ratio={self.ratio}: {channels} of the {site.out_channels} channels of "
                f"unit {site.unit} in block {site.block} of stage {site.stage} are no "
                "multiple of 4, which the gate's halves need"
            )
        if channels > site.kept_out:
            raise ValueError(
                f"width={site.width} keeps {site.kept_out} of the {site.out_channels} "
                f"channels of stage {site.stage}, fewer than the {channels} that pass the "
                f"gate (ratio={self.ratio})"
            )
        # In ResNet the official code draws every 2-D convolution by He's rule, the
        # fusion's too; in Inception they stay as PyTorch makes them.
        layer = GateShiftFuse(
            site.kept_out,
            channels,
            zero_gate=self.zero_gate,
            fusion_init=he_fan_out if site.residual else torch_default,
            **self.options,
        )
        if type(module) is Unit:
            plain, module = (
                module,
                GatedUnit(module.conv, module.norm, module.activation),
            )
            module.before, module.after = plain.before, plain.after
        block = (site.stage, site.block)
        self.gated.setdefault(block, []).append((module, module.between))
        self.put(module, "between", layer)
        if len(self.gated) == self.modules:
            self.missing.discard(f"{self.modules} blocks")
        if self.modules is not None and len(self.gated) > self.modules:
            # Which blocks are the last ones shows when they come.
            for unit, before in self.gated.pop(next(iter(self.gated))):
                unit.between = nnx.data(before)
        return module

    def _gates(self, site: Site) -> bool:
        """Returns whether a unit is where the option `place` says."""
        place, last = self.chosen_place, site.unit == site.units - 1
        if site.residual:
            convolutions = {f"conv{unit + 1}": unit for unit in range(site.units)}
            _known(place, ("last", *convolutions, "all"))
            if place in convolutions:
                return site.unit == convolutions[place]
            return last or place == "all"
        _known(place, ("least", *BRANCHES, "all"))
        least = site.least and site.unit == 0
        if place == "all":
            return last
        if place in BRANCHES:
            return last and site.branch == place if place in site.branches else least
        where = (site.stage, site.block)
        if place is None and where in self.elsewhere:
            return site.unit == 0 and site.branch == self.elsewhere[where]
        return least


class GSM(GSF):
    """The Gate-Shift Module (Sudhakaran et al., CVPR 2020): GSF that fuses by a sum.

    Its gate starts at zero, GSF's as PyTorch's convolutions do.

    Args:
      dtype, rngs, ratio, place, modules, gate, causal: see `GSF`. GSM was published for
        Inception with all channels.
      elsewhere: with no `place`, for a block `(stage, block)` of Inception the branch
        whose first unit has the module there, or None for no module: InceptionV3's
        official GSM has two such blocks.

    Raises:
      ValueError: see `GSF`.
    """

    zero_gate = True

    def __init__(
        self,
        *,
        dtype,
        rngs: nnx.Rngs,
        ratio: float = 0.25,
        place: str | None = None,
        modules: int | None = None,
        gate: str | int = "learned",
        causal: bool = False,
        elsewhere: Mapping[tuple[int, int], str | None] | None = None,
    ):
        super().__init__(
            dtype=dtype,
            rngs=rngs,
            ratio=ratio,
            place=place,
            modules=modules,
            gate=gate,
            fusion="sum",
            causal=causal,
        )
        if elsewhere is not None:
            self.elsewhere = elsewhere
        self.missing |= {f"block {b} of stage {s}" for s, b in self.elsewhere}


def _known(place: str | None, places: tuple[str, ...]) -> None:
    if place is not None and place not in places:
        raise ValueError(
            f"place must be one of {', '.join(places)} in this backbone, got {place!r}"
        )
