"""The exchanges between devices in the text of a compiled program."""

import re

import numpy as np

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute")


def collectives(text: str) -> list[tuple[str, int]]:
    """(Kind, number of values in its results) of a compiled program's collectives."""
    kinds_and_sizes = []
    for line in text.splitlines():
        kind = re.search(rf" ({'|'.join(COLLECTIVES)})(-start)?\(", line)
        if kind:
            types = line[: kind.start()].split(" = ")[1]
            sizes = [
                np.prod([int(n) for n in dims.split(",") if n], initial=1)
                for dims in re.findall(r"\w+\[([\d,]*)\]", types)
            ]
            kinds_and_sizes.append((kind[1], int(sum(sizes))))
    return kinds_and_sizes
