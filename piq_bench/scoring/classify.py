"""Describes a task's predictions: scores per label, confusion matrix, and what guessing would score."""

from dataclasses import dataclass

import numpy as np

from piq_bench.metrics.labels import chance_f1, confusion, f1, majority_f1, precision, recall
from piq_bench.records import NOT_ANNOTATED, Benchmark, LabelScore, Submission, Task
from piq_bench.scoring.tally import LabelTally


@dataclass(frozen=True)
class TaskDetail:
    """What a score says about one task besides its macro F1.

    Attributes:
        labels: score of each label, by name.
        confusion: counts, true label by predicted label; None for a multi-label task.
        chance_f1, majority_f1: macro F1 of guessing, and of always giving the majority; None where no label occurs.
    """

    labels: dict[str, LabelScore]
    confusion: tuple[tuple[int, ...], ...] | None
    chance_f1: float | None
    majority_f1: float | None


def describe_task(benchmark: Benchmark, submission: Submission, task: Task, tally: LabelTally) -> TaskDetail:
    """Describe one submitted task from its tally."""
    truth = benchmark.labels[task.name][benchmark.test_rows]
    known = truth != NOT_ANNOTATED if truth.ndim == 1 else (truth != NOT_ANNOTATED).all(axis=1)
    n_annotated, support = int(known.sum()), tally.true.sum(axis=0).astype(np.int64)
    table = None
    if not task.multi_label:
        predicted = submission.predictions[task.name][known].astype(np.int64)
        counts = confusion(truth[known], predicted, len(task.labels))
        table = tuple(tuple(int(count) for count in row) for row in counts)
    return TaskDetail(
        labels=_label_scores(task, tally),
        confusion=table,
        chance_f1=chance_f1(support, n_annotated, multi_label=task.multi_label) if support.any() else None,
        majority_f1=majority_f1(support, n_annotated, multi_label=task.multi_label) if support.any() else None,
    )


def _label_scores(task: Task, tally: LabelTally) -> dict[str, LabelScore]:
    hits, predicted, true = (part.sum(axis=0) for part in (tally.hits, tally.predicted, tally.true))
    f1_scores = f1(hits, predicted, true)
    return {
        name: LabelScore(
            precision=precision(int(hits[i]), int(predicted[i])),
            recall=recall(int(hits[i]), int(true[i])),
            f1=float(f1_scores[i]),
            support=int(true[i]),
            predicted=int(predicted[i]),
            hits=int(hits[i]),
        )
        for i, name in enumerate(task.labels)
    }
