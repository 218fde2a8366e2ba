"""Kinds of label: what a clip's labels are, how they are learned and how they are scored."""

from vidshift.tasks.kinds import (
    AVERAGES,
    MULTI_LABEL,
    SINGLE_LABEL,
    MultiLabel,
    MultiTask,
    SingleLabel,
    Task,
    from_json,
)

__all__ = [
    "AVERAGES",
    "MULTI_LABEL",
    "SINGLE_LABEL",
    "MultiLabel",
    "MultiTask",
    "SingleLabel",
    "Task",
    "from_json",
]
