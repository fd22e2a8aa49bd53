"""PIQ: the mean over aspects of the means over their tasks. Equation (2) of the paper, for any vocabulary.

Re-id counts as (macro Rank-1 + macro mAP) / 2; every other task as its macro F1.
"""

from collections.abc import Mapping, Sequence

from piq_bench.records import RETRIEVAL, Task


def reid_score(macro_rank1: float, macro_map: float) -> float:
    """What a retrieval task counts for: the mean of macro Rank-1 and macro mAP."""
    return (macro_rank1 + macro_map) / 2.0


def aspect_scores(
    tasks: Sequence[Task], *, macro_rank1: float | None, macro_map: float | None, f1: Mapping[str, float | None]
) -> dict[str, float | None]:
    """Score of each aspect, in the order of the vocabulary; None where one of its tasks has no value.

    Args:
        tasks: the benchmark's vocabulary.
        macro_rank1: of the retrieval task; None if there is none or it was not scored.
        macro_map: likewise.
        f1: macro F1 by classification task.
    """
    values: dict[str, list[float | None]] = {}
    for task in tasks:
        if task.kind == RETRIEVAL:
            value = None if macro_rank1 is None or macro_map is None else reid_score(macro_rank1, macro_map)
        else:
            value = f1.get(task.name)
        values.setdefault(task.aspect, []).append(value)
    return {aspect: _mean(list(parts)) for aspect, parts in values.items()}


def piq(aspects: Mapping[str, float | None]) -> float | None:
    """Mean over the aspects; None if there is none or one of them has no value.

    >>> piq({"reid": 0.5, "appearance": 0.7, "posture": 0.4, "emotion": 0.2})
    0.45
    """
    return _mean(list(aspects.values()))


def _mean(values: Sequence[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total / len(values) if values else None
