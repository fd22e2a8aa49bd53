"""PIQ: the mean over aspects of the means over their tasks. Equation (2) of the paper, for any vocabulary.

Re-id enters as (macro Rank-1 + macro mAP) / 2; every other task as its macro F1.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from piq_bench.records import FloatArray, Task

Value = TypeVar("Value", float, FloatArray)
"""One number, or an array of them: one per bootstrap resample."""


def reid_score(macro_rank1: Value, macro_map: Value) -> Value:
    """The score of a retrieval task: the mean of macro Rank-1 and macro mAP."""
    return (macro_rank1 + macro_map) / 2.0


def aspect_scores(tasks: Sequence[Task], task_scores: Mapping[str, Value]) -> dict[str, Value | None]:
    """Score of each aspect, in the order of the vocabulary; None where one of its tasks has no score.

    Args:
        tasks: the benchmark's vocabulary.
        task_scores: score of each task by name: `reid_score` of the retrieval task, macro F1 of every other.
    """
    parts: dict[str, list[Value | None]] = {}
    for task in tasks:
        parts.setdefault(task.aspect, []).append(task_scores.get(task.name))
    return {aspect: _mean(values) for aspect, values in parts.items()}


def piq(aspects: Mapping[str, Value | None]) -> Value | None:
    """Mean over the aspects; None if there is none or one of them has no score.

    >>> piq({"reid": 0.5, "appearance": 0.7, "posture": 0.4, "emotion": 0.2})
    0.45
    """
    return _mean(list(aspects.values()))


def _mean(values: Sequence[Value | None]) -> Value | None:
    """Mean, summed from left to right so that it has the same bits everywhere; None if a value is None."""
    total: Value | None = None
    for value in values:
        if value is None:
            return None
        total = value if total is None else total + value
    return None if total is None else total / len(values)
