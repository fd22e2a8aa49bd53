"""Divides the gap between PIQ and 1 among the labels and re-id metrics that cause it."""

from dataclasses import dataclass

from piq_bench.errors import printable
from piq_bench.metrics.piq import reid_score
from piq_bench.records import RETRIEVAL, Benchmark, Task
from piq_bench.scoring.records import Score

SHORT = 40  # characters of an untrusted name


@dataclass(frozen=True)
class LostPoints:
    """The points of PIQ that are lost by one label or re-id metric.

    Attributes:
        cause: name of the label or metric.
        points: increase of PIQ, in per cent, if it were perfect.
    """

    cause: str
    points: float


def points_lost(score: Score, benchmark: Benchmark) -> list[LostPoints]:
    """The gap between PIQ and 1, divided among the labels and re-id metrics that cause it; the largest part first.

    The points of a cause are the increase of PIQ if the F1 of the label, or the re-id metric, were 1. They add up to
    the gap.
    """
    if score.piq is None or not score.labels:
        return []
    tasks: dict[str, list[Task]] = {}
    for task in benchmark.tasks:
        tasks.setdefault(task.aspect, []).append(task)
    losses = []
    for aspect, members in tasks.items():
        for task in members:
            share = 100.0 / len(tasks) / len(members)
            if task.kind == RETRIEVAL and score.reid is not None:
                rank1, mean = (score.reid.values[name] or 0.0 for name in ("macro_rank1", "macro_map"))
                losses.append(
                    LostPoints(f"{printable(aspect, SHORT)}: macro Rank-1", share * (1.0 - reid_score(rank1, 1.0)))
                )
                losses.append(
                    LostPoints(f"{printable(aspect, SHORT)}: macro mAP", share * (1.0 - reid_score(1.0, mean)))
                )
            else:
                labels = {name: one for name, one in score.labels[task.name].items() if one.support}
                losses += [
                    LostPoints(
                        f"{printable(task.name, SHORT)}: {printable(name, SHORT)}", share * (1.0 - one.f1) / len(labels)
                    )
                    for name, one in labels.items()
                ]
    return sorted(losses, key=lambda loss: -loss.points)
