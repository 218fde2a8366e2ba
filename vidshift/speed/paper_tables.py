"""Tables of latency that the papers print, as rows to time here beside them.

A row is data: a network by name, or a block, and what the paper prints of it. What the
papers time with networks that are not here stands in `absent`, with its figures.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vidshift.cost.rubiks_blocks import CONV_2D, CONV_3D, RUBIKS


class PaperRow(NamedTuple):
    """A row of a table.

    Args:
      label: the paper's name of it.
      name: a network by name (`vidshift.nets.names`), or a block of
        `vidshift.cost.rubiks_blocks`.
      printed: measure -> as the paper prints it, milliseconds of `latency` and videos a
        second of `throughput`.
      printed_ratio: as the paper prints the time over that of `base`; where it is empty,
        the printed figures give it.
      frames: of a clip.
      dtype, base: others than the table's.
    """

    label: str
    name: str
    printed: Mapping[str, str] = {}
    printed_ratio: str = ""
    frames: int = 8
    dtype: str = ""
    base: str = ""


class PaperTable(NamedTuple):
    """A table.

    Args:
      title: paper and number.
      kind: what is timed: "clips" by a network, "frames" one by one in a stream, or
        "blocks" of a network.
      device, protocol: the paper's.
      base: label of the row that others' times are divided by.
      measures: measure -> batch.
      side: of a frame; of blocks, of the features.
      absent: what the table has besides, and why it is not timed.
      remarks: what differs here.
    """

    title: str
    kind: str
    device: str
    protocol: str
    base: str
    rows: tuple[PaperRow, ...]
    measures: Mapping[str, int] = {"latency": 1}
    dtype: str = "float32"
    side: int = 224
    absent: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def _both(latency: str, throughput: str) -> dict[str, str]:
    return {"latency": latency, "throughput": throughput}


BOTH = {"latency": 1, "throughput": 16}
ECO = "ECO 16F (30.6 ms, 45.6 V/s) and the I3D of Wang and Gupta (165.3 ms, 6.1 V/s): "
ECO += "these networks are not here"
FOLD = "resnet50/tsm:fold_div="

TABLES = {
    "tsm-fig-2a": PaperTable(
        "TSM Figure 2a, overhead of the shift by the share of channels",
        kind="clips",
        device="Tesla P100, Jetson TX2 and Xeon E5-2690",
        protocol="mean of 1000 runs after 200 warm-up runs, 8 frames, batch not said",
        base="none",
        rows=(
            PaperRow("none", "resnet50/tsn"),
            PaperRow("1/8", f"{FOLD}16", printed_ratio="1.03"),
            PaperRow("1/4", f"{FOLD}8", printed_ratio="drawn only"),
            PaperRow("1/2", f"{FOLD}4", printed_ratio="drawn only"),
            PaperRow("all", f"{FOLD}2", printed_ratio="1.137 (CPU), 1.124 (GPU)"),
        ),
        remarks=(
            "The paper does not say if its shift was residual or in place; here it is "
            + "residual, the default.",
        ),
    ),
    "tsm-5": PaperTable(
        "TSM Table 5",
        kind="clips",
        device="Tesla P100",
        protocol="latency at batch 1, throughput at batch 16",
        base="TSM 8F",
        measures=BOTH,
        rows=(
            PaperRow(
                "I3D from [49]",
                "resnet50/i3d:layout=non_local",
                _both("25.8", "42.4"),
                frames=32,
            ),
            PaperRow("I3D replace", "resnet50/i3d", _both("28.0", "37.9")),
            PaperRow("TSM 8F", "resnet50/tsm", _both("17.4", "77.4")),
            PaperRow("TSM 16F", "resnet50/tsm", _both("29.0", "39.5"), frames=16),
        ),
        absent=(ECO,),
    ),
    "tsm-6": PaperTable(
        "TSM Table 6, a frame of a stream",
        kind="frames",
        device="a GPU, compiled by TVM",
        protocol="repeats not said",
        base="TSN",
        rows=(
            PaperRow("TSN", "resnet50/tsn", {"latency": "4.7"}),
            PaperRow("online TSM", "resnet50/tsm:causal=true", {"latency": "4.8"}),
        ),
    ),
    "tsm-8": PaperTable(
        "TSM Table 8, a frame of a stream",
        kind="frames",
        device="edge devices, compiled by TVM",
        protocol="repeats not said",
        base="MobileNetV2",
        rows=(
            PaperRow("MobileNetV2", "mobilenet_v2/tsn", {"latency": "not printed"}),
            PaperRow(
                "online TSM",
                "mobilenet_v2/tsm:causal=true",
                {
                    "latency": "47.8, 36.4 (CPU of Jetson Nano, TX2); 13.4, 8.5 (GPU of "
                    "these); 69.6 (Raspberry Pi 4B); 34.5 (Note8); 47.4 (Pixel 1)"
                },
                printed_ratio="not printed",
            ),
        ),
        absent=("power: this device's is not measured",),
        remarks=("MobileNetV2 without the shift is not in the table.",),
    ),
    "vsn-6": PaperTable(
        "VSN Table 6",
        kind="clips",
        device="Tesla P100",
        protocol="mean of 500 batches of 16; its TSM row is TSM's Table 5, so latency is "
        "taken for that of batch 1",
        base="TSN-R50",
        measures=BOTH,
        rows=(
            PaperRow("TSN-R50", "resnet50/tsn", _both("15.8", "80.8")),
            PaperRow("TSM 8F", "resnet50/tsm", _both("17.4", "77.4")),
            PaperRow("VSN-R50", "resnet50/vsn", _both("16.5", "79.5")),
            PaperRow("TSN-R101", "resnet101/tsn", _both("26.7", "48.8")),
            PaperRow(
                "VSN-R101", "resnet101/vsn", _both("28.7", "47.2"), base="TSN-R101"
            ),
        ),
        absent=(ECO,),
    ),
    "gsf-12": PaperTable(
        "GSF Table 12",
        kind="clips",
        device="Titan V",
        protocol="one clip of 8 frames, half precision but for RubiksNet",
        base="TSM",
        dtype="bfloat16",
        rows=(
            PaperRow("TSM", "resnet50/tsm", {"latency": "7.59"}),
            PaperRow("GST", "resnet50/gst", {"latency": "8.28"}),
            PaperRow(
                "RubiksNet",
                "rubiksnet_large/tsn",
                {"latency": "10.46"},
                dtype="float32",
            ),
            PaperRow("GSF", "resnet50/gsf", {"latency": "12.40"}),
        ),
        remarks=("Half precision is bfloat16 here.",),
    ),
    "rubiksnet-a2": PaperTable(
        "RubiksNet Table A2, one block on 8 clips of 8 x 56 x 56, 72 channels",
        kind="blocks",
        device="Titan Xp",
        protocol="mean of 100 runs",
        base=RUBIKS,
        measures={"latency": 8},
        side=56,
        rows=(
            PaperRow(CONV_3D, CONV_3D, {"latency": "7.98"}),
            PaperRow(CONV_2D, CONV_2D, {"latency": "3.59"}),
            PaperRow(RUBIKS, RUBIKS, {"latency": "0.90"}),
        ),
        remarks=(
            "The forward pass in evaluation mode, by XLA alone and, where this device "
            + "has them, by the kernels for the shifts.",
        ),
    ),
}


def base_of(table: PaperTable, row: PaperRow) -> PaperRow:
    """Returns the row that a row's time is divided by."""
    return next(r for r in table.rows if r.label == (row.base or table.base))


def printed_ratio(table: PaperTable, row: PaperRow, measure: str) -> str:
    """Returns the printed time over the base's; a throughput counts the other way."""
    base = base_of(table, row)
    if row.printed_ratio or row == base:
        return row.printed_ratio or "1"
    own, other = float(row.printed[measure]), float(base.printed[measure])
    return f"{own / other if measure == 'latency' else other / own:.3f}"
