"""Parameters and multiplications of networks, beside what the papers print for them.

    python -m vidshift.cost                          # every published row
    python -m vidshift.cost resnet50/gsf             # its rows
    python -m vidshift.cost resnet50/gsf:ratio=0.5 --frames 16 --classes 101   # any other

A NAME is BACKBONE/TEMPORAL, with options of vidshift.create after a colon and commas
between them; BACKBONE alone is TSN. "NAME + NAME" is an ensemble: the sum of its
networks. A name gives the published rows of the same network, whichever of its options
are written out; without a published row it is counted as asked. Both are counted from the network itself: parameters
are what is trained; `macs` are the products of convolutions and linear layers for one
clip, windows that hang over the edge counted whole. Where a source counts element-wise
work too, the last columns count as it does: `as the source counts`.
"""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import json

from vidshift.command_line import errors
from vidshift.command_line.arguments import count, make_parser
from vidshift.cost.count import UNLESS_SAID, rows
from vidshift.cost.published import TOGETHER


@errors.reported
def main(argv: list[str] | None = None) -> int:
    parser = make_parser("python -m vidshift.cost", __doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="default: all that is published")
    add("--classes", type=count, help="of the head; 400")
    add("--frames", type=count, help="of a clip; 8")
    add("--side", type=count, help="of a frame, pixels; 224")
    add("--in-channels", type=count, help="of a frame; 3, of a flow 2")
    add("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args(argv)
    clips = {k: getattr(options, k) for k in UNLESS_SAID}
    if not options.json:
        print(HEADING)
    for row in rows(options.names, **clips):
        print(json.dumps(row) if options.json else _line(row), flush=True)
    return 0


HEADING = (
    "| network | classes | clip | parameters | printed | MACs | as the source counts "
    "| printed | source |\n|---|---|---|---|---|---|---|---|---|"
)


def _line(row: dict) -> str:
    as_source = ""
    if row["counts"] != "products":
        as_source = f"{row['macs_as_source'] / 1e9:.2f} G"
    said = [row["source"], "" if row["agrees"] else "**differs**", row["note"]]
    cells = (
        f"`{row['name']}`",
        f"{row['classes']}",
        _clip(row),
        f"{row['parameters']:,}",
        _printed(row["published_parameters"], 1e6, "M"),
        f"{row['macs'] / 1e9:.2f} G",
        as_source,
        _printed(row["published_macs"], 1e9, "G"),
        "; ".join(filter(None, said)),
    )
    return f"| {' | '.join(cells)} |"


def _clip(row: dict) -> str:
    """Frames x side², and the channels of a frame that has not three."""
    sizes = [row["frames"], f"{row['side']}²"]
    if row["in_channels"] != 3:
        sizes.append(row["in_channels"])
    return " x ".join(
        f"({TOGETHER.join(map(str, size))})" if isinstance(size, tuple) else f"{size}"
        for size in sizes
    )


def _printed(number: int | None, unit: float, letter: str) -> str:
    return "" if number is None else f"{number / unit:g} {letter}"


if __name__ == "__main__":
    errors.run(main)
