"""Parameters and multiplications that papers print for networks that are here.

`parameters` (millions) and `macs` (10^9 a clip of one crop) are as printed, so that
their digits say how far they were rounded; an empty string is not printed there.
"""

from typing import NamedTuple

from vidshift.nets import BACKBONES

TOGETHER = " + "  # between the networks of an ensemble


class Part(NamedTuple):
    """A network of a row."""

    network: str
    frames: int
    in_channels: int


class Published(NamedTuple):
    """A row of a paper's table, and the network of ours (`nets.names`) that it means.

    An ensemble is two names, `TOGETHER` between them; its `frames` and `in_channels` are
    then a number for each, or one for all. `counts` names how the source counts, a key of
    `cost.CONVENTIONS`; `note` says what differs, where something does.
    """

    network: str
    classes: int
    frames: int | tuple[int, ...]
    side: int
    parameters: str = ""
    macs: str = ""
    source: str = ""
    counts: str = "products"
    note: str = ""
    in_channels: int | tuple[int, ...] = 3

    def parts(self) -> list[Part]:
        """The networks that the row counts together; most rows have one."""
        names = self.network.split(TOGETHER)
        each = (
            size if isinstance(size, tuple) else (size,) * len(names)
            for size in (self.frames, self.in_channels)
        )
        return [Part(*part) for part in zip(names, *each, strict=True)]


KINETICS, SOMETHING = 400, 174
HEAD_OF_400 = "parameters printed are those with a head of 400 classes"
RELATIONS = (
    "printed are 400 classes, and each relation counted as often as it is used, up to "
    "three times: so counted, 31.82 M and 18.32 M"
)
THE_SAME_NETWORK = "34.5 M is Table 11's; Tables 1 and 8 print 34.4 M for it"


NO_COST = "no cost is printed"
BOTH = "Tables 2, 5, VSN Table 2"


def _tsm(network, frames, parameters, macs, tables, note=HEAD_OF_400, channels=3):
    sizes = (network, KINETICS, frames, 224, parameters, macs, f"TSM {tables}")
    return Published(*sizes, note=note, in_channels=channels)


def _gsf(network: str, frames: int, parameters: str, macs: str, table: str, note=""):
    side = BACKBONES[network.partition("/")[0]].crop
    return Published(
        network, SOMETHING, frames, side, parameters, macs, f"GSF {table}", "thop", note
    )


# A stack of five flows, two channels each, is what the official TSM code reads. VSN does
# not say how many are in its Table 2, but 41.4 % of VSN-R101 there is that of five in
# Table 5; one flow has 36.1 %.
FLOW = 10
NOT_SAID = "what is printed is RGB's; how many flows a frame has is not said there"


def _vsn(network: str, classes: int, parameters: str, macs: str, note="", channels=3):
    sizes = (network, classes, 8, 224, parameters, macs, "VSN Table 2")
    return Published(*sizes, note=note, in_channels=channels)


def _slow(side, frames, width, macs, parameters, tables, note=""):
    slim = "" if width == 1 else f":width={width:g}"
    sizes = (f"slow_8x8_r50/tsn{slim}", KINETICS, frames, side)
    return Published(*sizes, parameters, macs, f"A3D Table {tables}", note=note)


def _slowfast(side, frames, width, macs, parameters, tables, note=""):
    """S² x T and the width are the Slow pathway's; the Fast one sees all of the clip."""
    clip = max(side, 224)
    slim = {"width": (width, 1.0), "side": (side, clip), "frames": (frames, 4)}
    slim = ",".join(f"{k}={own:g}" for k, (own, full) in slim.items() if own != full)
    sizes = (f"slowfast_4x16_r50/tsn{slim and ':'}{slim}", KINETICS, 32, clip)
    return Published(*sizes, parameters, macs, f"A3D Table {tables}", note=note)


ROWS = (
    # ------------------------------------------------- TSM (Lin et al., ICCV 2019)
    _tsm("bn_inception/tsn", 8, "10.7", "16", "Table 2, VSN Table 2"),
    _tsm("resnet50/tsn", 8, "24.3", "33", "Table 2, RubiksNet Table 1 (TSN Large)"),
    _tsm("resnet50/tsm", 8, "24.3", "33", f"{BOTH}, RubiksNet Table 1 (TSM Large)"),
    _tsm("resnet50/tsm", 16, "24.3", "65", f"{BOTH}, A3D Table 1"),
    _tsm("resnet50/i3d", 8, "33.0", "48", "Table 5, I3D_replace"),
    Published(
        'resnet50/i3d:layout="non_local"',
        1000,
        32,
        224,
        "29.3",
        "33",
        "TSM Table 5, I3D from [49]",
        note="parameters printed are those with ImageNet's head of 1,000 classes; with "
        "400 they are 28.04 M",
    ),
    _tsm("resnet50/trn", 8, "31.8", "33", "Table 2, TRN-Multiscale", note=RELATIONS),
    _tsm("bn_inception/trn", 8, "18.3", "16", "Table 2, TRN [58]", note=RELATIONS),
    _tsm("resnet50/tsm + resnet50/tsm", (8, 16), "48.6", "98", "Table 2, ensemble"),
    _tsm("mobilenet_v2/tsm", 8, "", "", "Table 3", NO_COST),
    _tsm("resnext101_32x4d/tsm", 8, "", "", "Table 3", NO_COST),
    _tsm(
        "resnet50/tsm:non_local=true",
        8,
        "",
        "",
        "Table 3",
        f"{NO_COST}; products of the attention are counted here",
    ),
    _tsm(
        "resnet50/tsm + resnet50/tsm",
        16,
        "48.6",
        "",
        "Table 2, RGB + Flow, VSN Table 2",
        f"{HEAD_OF_400}; no MACs are printed; flow as the official code stacks it",
        (3, FLOW),
    ),
    # ------------------------------------------ VSN (Ma et al., arXiv 2019), Table 2
    _vsn("resnet50/vsn", KINETICS, "24.3", "33", f"RGB; {HEAD_OF_400}"),
    _vsn(
        "resnet50/vsn",
        KINETICS,
        "24.3",
        "33",
        f"Flow; {HEAD_OF_400}; {NOT_SAID}: five give the MACs here, one 32.39 G",
        FLOW,
    ),
    _vsn(
        "resnet50/vsn + resnet50/vsn",
        KINETICS,
        "48.6",
        "",
        f"two-stream; {HEAD_OF_400}; no MACs are printed",
        (3, FLOW),
    ),
    _vsn("resnet101/vsn", SOMETHING, "42.9", "63", "RGB"),
    _vsn(
        "resnet101/vsn",
        SOMETHING,
        "42.9",
        "63",
        f"Flow; {NOT_SAID}: five give the MACs here, one 62.08 G",
        FLOW,
    ),
    _vsn(
        "resnet50/vsn + resnet101/vsn",
        SOMETHING,
        "67.2",
        "96",
        "RGB; what is printed is the sum of the two rows, R50 with a head of 400 classes",
    ),
    _vsn(
        "resnet101/vsn + resnet101/vsn",
        SOMETHING,
        "85.8",
        "",
        "two-stream; no MACs are printed",
        (3, FLOW),
    ),
    # -------------------------------------- RubiksNet (Fan et al., ECCV 2020), Table 1
    *(
        Published(network, SOMETHING, 8, 224, parameters, macs, source, "shifts")
        for network, parameters, macs, source in (
            ("rubiksnet_large/tsn", "8.5", "15.8", "RubiksNet Table 1, GSF Table 8"),
            ("rubiksnet_medium/tsn", "6.2", "11.2", "RubiksNet Table 1"),
            ("rubiksnet_small/tsn", "3.6", "6.8", "RubiksNet Table 1"),
            ("rubiksnet_tiny/tsn", "1.9", "3.9", "RubiksNet Table 1"),
            (
                'rubiksnet_large/tsn:variant="attention"',
                "8.5",
                "15.7",
                "RubiksNet code's log of large AQ",
            ),
            (
                'rubiksnet_large/tsn:variant="attention",hardened=true',
                "8.5",
                "15.7",
                "RubiksNet code, large AQ",
            ),
        )
    ),
    Published("resnet34/tsm", SOMETHING, 8, 224, "21.4", "29.4", "RubiksNet Table 1"),
    Published("resnet18/tsm", SOMETHING, 8, 224, "11.3", "14.6", "RubiksNet Table 1"),
    # --------------------------------- GSF (Sudhakaran et al., TPAMI 2023), Tables 1-8
    *(
        _gsf(f'bn_inception/gsf:place="{place}"', 8, parameters, macs, "Table 1", note)
        for place, parameters, macs, note in (
            ("pool", "10.48", "16.51", "branch 1; its number is not explained there"),
            ("double_3x3", "10.49", "16.52", "branch 2; see vidshift.shifts.gated.GSF"),
            ("3x3", "10.5", "16.5", "branch 3; see vidshift.shifts.gated.GSF"),
            ("all", "10.62", "16.72", "all branches"),
        )
    ),
    _gsf("bn_inception/gsf", 8, "10.5", "16.53", "Tables 1, 2, 6, 8: branch 4, 100 %"),
    *(
        _gsf(f"bn_inception/gsf:ratio={ratio}", 8, parameters, macs, "Table 2")
        for ratio, parameters, macs in (
            (0.125, "10.46", "16.45"),
            (0.25, "10.46", "16.46"),
            (0.5, "10.47", "16.48"),
            (0.75, "10.49", "16.51"),
        )
    ),
    *(
        _gsf(f'resnet50/gsf:ratio=1.0,place="{place}"', 8, parameters, macs, "Table 3")
        for place, parameters, macs in (
            ("conv1", "23.97", "33.53"),
            ("conv2", "23.97", "33.4"),
            ("conv3", "24.3", "34.43"),
            ("all", "24.52", "35.25"),
        )
    ),
    *(
        _gsf(f"resnet50/gsf:ratio={ratio}", 8, parameters, macs, "Table 4")
        for ratio, parameters, macs in (
            (0.125, "23.92", "33.23"),
            (0.25, "23.97", "33.4"),
            (0.5, "24.08", "33.75"),
            (0.75, "24.19", "34.09"),
            (1.0, "24.3", "34.43"),
        )
    ),
    _gsf("bn_inception/tsn", 8, "10.45", "16.43", "Table 6, baseline"),
    _gsf("bn_inception/gsf:modules=1", 8, "10.46", "16.44", "Table 6"),
    _gsf("bn_inception/gsf:modules=5", 8, "10.48", "16.46", "Table 6"),
    _gsf("resnet50/tsn", 8, "23.86", "33.06", "Table 7, baseline"),
    _gsf("resnet50/gsf:modules=4", 8, "23.92", "33.09", "Table 7"),
    _gsf("resnet50/gsf:modules=8", 8, "23.95", "33.14", "Table 7"),
    _gsf("resnet50/gsf:modules=16", 8, "23.97", "33.4", "Tables 7, 8"),
    _gsf("bn_inception/tsn", 16, "10.45", "32.87", "Table 8, TSN"),
    _tsm("resnet50/tsm", 16, "24.3", "65", "Table 8")._replace(
        source="GSF Table 8, TSM"
    ),
    _gsf("inception_v3/gsf", 8, "22.22", "26.96", "Table 8, 1 crop"),
    _gsf("inception_v3/gsf", 8, "22.22", "26.85", "Table 8, 3 crops"),
    _gsf("bn_inception/gsf", 16, "10.5", "33.06", "Table 8"),
    _gsf("resnet50/gsf", 16, "23.97", "66.8", "Table 8"),
    _gsf("inception_v3/gsf", 16, "22.22", "53.93", "Table 8"),
    _gsf(
        "resnet50/gsf:motion_squeeze=true",
        16,
        "24.05",
        "68.05",
        "Table 8, ResNet-50+MS",
        "there a product of the correlation is two operations, and whole rows count here",
    ),
    _gsf("resnet50/gst", 16, "21", "59", "Table 8, GST"),
    # ------------------------------------- A3D (Zhu et al., 2020): S² x T, width
    *(
        _slow(*row)
        for row in (
            (256, 8, 1.0, "54.5", "32.5", "1, 5, 6, 9, 10"),
            (256, 4, 1.0, "27.3", "32.5", "5", "Slow 4x16"),
            (256, 2, 1.0, "13.6", "32.5", "5, 6", "Slow 2x32"),
            (224, 8, 1.0, "41.7", "32.5", "9, 10"),
            (224, 6, 1.0, "31.3", "32.5", "9"),
            (224, 4, 1.0, "20.9", "32.5", "1, 9"),
            (224, 6, 0.9, "25.3", "26.5", "5"),
            (224, 4, 0.9, "16.8", "26.5", "9"),
            (224, 4, 0.8, "13.4", "21.0", "5, 9"),
            (192, 4, 0.8, "9.8", "21.0", "9"),
            (192, 4, 0.7, "7.6", "16.0", "9"),
            (224, 4, 0.5, "5.3", "8.3", "1, 9"),
            (192, 4, 0.5, "3.9", "8.3", "9"),
            (160, 4, 0.5, "2.7", "8.3", "9"),
            (192, 2, 0.5, "2.0", "8.3", "9"),
            (160, 2, 0.5, "1.4", "8.3", "9"),
            (128, 2, 0.5, "0.9", "8.3", "1, 9"),
            (224, 8, 0.83, "29.3", "22.5", "10"),
            (224, 8, 0.73, "22.5", "17.5", "1, 10"),
            (224, 8, 0.63, "16.6", "13.0", "10"),
            (224, 5, 0.63, "10.4", "13.0", "10"),
            (178, 5, 0.63, "7.3", "13.0", "10"),
            (178, 3, 0.63, "4.4", "13.0", "1, 10"),
            (142, 3, 0.63, "2.7", "13.0", "6, 10"),
            (224, 8, 0.6, "15.4", "11.8", "6"),
            (224, 5, 0.73, "14.1", "17.5", "6"),
            (112, 8, 0.5, "2.8", "8.3", "6"),
        )
    ),
    *(
        _slowfast(*row)
        for row in (
            (256, 4, 1.0, "36.1", "34.5", "1, 8, 11", THE_SAME_NETWORK),
            (224, 4, 1.0, "27.6", "34.5", "8, 11", THE_SAME_NETWORK),
            (224, 3, 1.0, "22.1", "34.5", "8, 11", THE_SAME_NETWORK),
            (256, 2, 1.0, "21.8", "34.4", "8", THE_SAME_NETWORK),
            (256, 2, 1.0, "21.8", "34.4", "8", f"SlowFast 2x32; {THE_SAME_NETWORK}"),
            (224, 4, 0.83, "21.3", "24.4", "8"),
            (224, 3, 0.83, "17.4", "24.4", "1, 8, 11"),
            (224, 3, 0.73, "14.7", "19.2", "11"),
            (224, 3, 0.63, "12.4", "14.5", "8, 11"),
            (224, 2, 0.63, "10.2", "14.5", "11"),
            (178, 2, 0.63, "8.8", "14.5", "11"),
            (142, 2, 0.83, "9.0", "24.4", "1, 8"),
            (142, 2, 0.73, "8.3", "19.2", "11"),
            (142, 2, 0.63, "7.6", "14.5", "11"),
        )
    ),
)
