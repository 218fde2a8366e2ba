"""Parameters and multiplications that papers print for networks that are here.

`parameters` (millions) and `macs` (10^9 a clip of one crop) are as printed, so that
their digits say how far they were rounded; an empty string is not printed there.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """A row of a paper's table, and the network of ours (`nets.names`) that it means.

    `counts` names how the source counts, a key of `cost.CONVENTIONS`; `note` says what
    differs, where something does.
    """

    network: str
    classes: int
    frames: int
    side: int
    parameters: str = ""
    macs: str = ""
    source: str = ""
    counts: str = "products"
    note: str = ""


KINETICS, SOMETHING = 400, 174
HEAD_OF_400 = "parameters printed are those with a head of 400 classes"


def _gsf(network: str, frames: int, parameters: str, macs: str, table: str, note=""):
    side = 229 if network.startswith("inception_v3") else 224
    return Published(
        network, SOMETHING, frames, side, parameters, macs, f"GSF {table}", "thop", note
    )


ROWS = (
    # ------------------------------------------------- TSM (Lin et al., ICCV 2019)
    *(
        Published(network, KINETICS, frames, 224, parameters, macs, source, note=note)
        for network, frames, parameters, macs, source, note in (
            ("bn_inception/tsn", 8, "10.7", "16", "TSM Table 2", HEAD_OF_400),
            (
                "resnet50/tsn",
                8,
                "24.3",
                "33",
                "TSM Table 2, RubiksNet Table 1",
                HEAD_OF_400,
            ),
            (
                "resnet50/tsm",
                8,
                "24.3",
                "33",
                "TSM Tables 2, 5, RubiksNet Table 1",
                HEAD_OF_400,
            ),
            ("resnet50/tsm", 16, "24.3", "65", "TSM Tables 2, 5", HEAD_OF_400),
            ("resnet50/i3d", 8, "33.0", "48", "TSM Table 5, I3D_replace", HEAD_OF_400),
            (
                "resnet50/tsm",
                24,
                "",
                "98",
                "TSM Table 2, ensemble of 8 and 16 frames",
                "48.6 M parameters are printed for the two networks together",
            ),
            ("mobilenet_v2/tsm", 8, "", "", "TSM Table 3", "no cost is printed"),
            ("resnext101_32x4d/tsm", 8, "", "", "TSM Table 3", "no cost is printed"),
            (
                "resnet50/tsm:non_local=true",
                8,
                "",
                "",
                "TSM Table 3",
                "no cost is printed; products of the attention are counted here",
            ),
        )
    ),
    # ------------------------------------------ VSN (Ma et al., arXiv 2019), Table 2
    Published(
        "resnet50/vsn", KINETICS, 8, 224, "24.3", "33", "VSN Table 2", note=HEAD_OF_400
    ),
    Published("resnet101/vsn", SOMETHING, 8, 224, "42.9", "63", "VSN Table 2"),
    # -------------------------------------- RubiksNet (Fan et al., ECCV 2020), Table 1
    *(
        Published(network, SOMETHING, 8, 224, parameters, macs, source, "shifts")
        for network, parameters, macs, source in (
            ("rubiksnet_large/tsn", "8.5", "15.8", "RubiksNet Table 1"),
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
            ("double_3x3", "10.49", "16.52", "branch 2; see vidshift.shifts.gated.gsf"),
            ("3x3", "10.5", "16.5", "branch 3; see vidshift.shifts.gated.gsf"),
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
    Published(
        "resnet50/tsm",
        KINETICS,
        16,
        224,
        "24.3",
        "65",
        "GSF Table 8, TSM",
        note=HEAD_OF_400,
    ),
    _gsf("inception_v3/gsf", 8, "22.22", "26.96", "Table 8, 1 crop"),
    _gsf("inception_v3/gsf", 8, "22.22", "26.85", "Table 8, 3 crops"),
    _gsf("bn_inception/gsf", 16, "10.5", "33.06", "Table 8"),
    _gsf("resnet50/gsf", 16, "23.97", "66.8", "Table 8"),
    _gsf("inception_v3/gsf", 16, "22.22", "53.93", "Table 8"),
    # ------------------------------------------ A3D (Yang et al., 2020) at width 1.0
    *(
        Published(network, KINETICS, frames, side, parameters, macs, source)
        for network, frames, side, parameters, macs, source in (
            ("slow_8x8_r50/tsn", 8, 256, "32.5", "54.5", "A3D Tables 1, 9, 10"),
            ("slow_8x8_r50/tsn", 4, 256, "32.5", "27.3", "A3D Tables 5, 6, Slow 4x16"),
            ("slow_8x8_r50/tsn", 2, 256, "32.5", "13.6", "A3D Tables 5, 6, Slow 2x32"),
            ("slow_8x8_r50/tsn", 8, 224, "32.5", "41.7", "A3D Tables 9, 10"),
            ("slow_8x8_r50/tsn", 6, 224, "32.5", "31.3", "A3D Table 9"),
            ("slow_8x8_r50/tsn", 4, 224, "32.5", "20.9", "A3D Table 9"),
            ("slowfast_4x16_r50/tsn", 32, 256, "34.5", "36.1", "A3D Table 11"),
            ("slowfast_4x16_r50/tsn", 32, 224, "34.5", "27.6", "A3D Table 11"),
            ("slowfast_4x16_r50/tsn", 32, 256, "34.4", "36.1", "A3D Tables 1, 8"),
            ("slowfast_4x16_r50/tsn", 32, 224, "34.4", "27.6", "A3D Table 8"),
        )
    ),
)

# Rows of the same tables that are no row here.
LEFT_OUT = (
    (
        "A3D Tables 8 and 11, SlowFast of 224² x 3 (22.1 G) and 256² x 2 (21.8 G): a Slow "
        "pathway of 3 or 2 frames beside a Fast one of 32; here it has 32 / alpha."
    ),
    (
        "VSN Table 2, Flow (24.3 M, 33 G; 42.9 M, 63 G): what is printed for RGB, and the "
        "text does not say how many flows a frame has. One makes VSN-R50's 8 frames "
        "32.4 G, five make them 34.9 G."
    ),
    (
        "VSN Table 2, R50 + R101 (67.2 M, 96 G) and two-stream; TSM Table 2, RGB + Flow "
        "(48.6 M): sums of two networks."
    ),
    "GSF Table 8, ensembles and MotionSqueeze: sums of rows; its code is not released.",
)
