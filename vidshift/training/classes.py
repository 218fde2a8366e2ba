"""Whether the classes of a split can be trained, and mirrored."""

from vidshift.data.annotations import mirrored
from vidshift.data.sources.split import Split


def check_classes(data: Split, *, flip: bool, crops: int | str) -> str:
    """Refuses classes that cannot be told apart, or not be mirrored where they should be.

    Args:
      data: what is trained on.
      flip: whether training clips are flipped.
      crops: of the protocol that validates; 10 have mirror images.

    Returns:
      A line that says which classes a mirror image swaps; "" where it swaps none.

    Raises:
      ValueError: naming the classes and what to change.
    """
    if len(data.classes) < 2 and not data.multi_label:
        raise ValueError(
            f"the data have one class, {data.classes[0]!r}, so that every answer is "
            "right: a class of its own is needed for each thing to tell apart (a folder, "
            "or a label of the table)"
        )
    if flip:
        data.check_flip("train with --config.data.flip=false")
    if crops == 10:
        data.check_flip("choose a --config.protocol of fewer crops")
    swaps = (
        mirrored.swaps(data.classes, data.flip_labels) if flip or crops == 10 else ""
    )
    return swaps and f"a mirror image swaps the classes {swaps}"
