"""Scores of several networks brought to one list of classes."""

from collections.abc import Sequence

from vidshift.class_names import clean, difference
from vidshift.evaluation.evaluate import Scores


def in_order_of(
    ours: Sequence[str],
    scores: Scores,
    theirs: Sequence[str],
    *,
    us: str,
    them: str,
    map_classes: bool,
) -> Scores:
    """Returns scores with the classes in the order of another list.

    Args:
      ours: the list wanted.
      scores: of the classes `theirs`.
      theirs: present names, in the order of the logits.
      us, them: what has the lists, for errors.
      map_classes: take classes by name where they are in another order.

    Raises:
      ValueError: the lists differ in more than their order, or in that and
        `map_classes` is false; the error names what differs.
    """
    differs = difference(ours, theirs, us=us, them=them)
    if not differs:
        return scores
    message = f"{them} has other classes than {us}: {differs}"
    wanted, present = list(map(clean, ours)), list(map(clean, theirs))
    once = len(set(wanted)) == len(wanted) == len(present)
    if not once or set(wanted) != set(present) or not scores.task.one_list:
        raise ValueError(message)
    if not map_classes:
        raise ValueError(f"{message}; --map-classes takes them by name")
    return scores.by_name(present, wanted)
