"""Number of channels that a slimmed network keeps (A3D)."""


def kept(channels: int, width: float) -> int:
    """`channels * width` as a multiple of 8: the nearest that keeps 90 % of it.

    The rule that all figures of A3D's tables follow ("make divisible", of slimmable
    networks), for every number of channels by itself. At a width of 1 all are kept.

    Raises:
      ValueError: a width that is not in (0, 1].
    """
    if not 0 < width <= 1:
        raise ValueError(f"width must be in (0, 1], got {width!r}")
    if width == 1:
        return channels
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    # No more than there are: of very few channels all are kept.
    return min(channels, nearest if nearest >= 0.9 * wanted else nearest + 8)
