"""Describes a task's predictions: scores per label, confusion matrix, guesses, and the metrics that others report."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from piq_bench.metrics.labels import chance_f1, confusion, f1, majority_f1, precision, recall
from piq_bench.metrics.multilabel import Mean, average_precision, balanced_accuracy, image_metrics, mean_accuracy
from piq_bench.metrics.sums import ordered_mean
from piq_bench.records import NOT_ANNOTATED, Benchmark, BoolArray, IntArray, Submission, Task
from piq_bench.scoring.records import AttributeScore, LabelScore
from piq_bench.scoring.tally import LabelTally


@dataclass(frozen=True)
class TaskDetail:
    """What a score says about one task besides its macro F1.

    Attributes:
        labels: score of each label, by name.
        confusion: counts, true label by predicted label; None for a multi-label task.
        chance_f1, majority_f1: macro F1 of guessing, and of always giving the majority; None where no label occurs.
        attributes: accuracy, mA and the other metrics that are reported beside macro F1.
    """

    labels: dict[str, LabelScore]
    confusion: tuple[tuple[int, ...], ...] | None
    chance_f1: float | None
    majority_f1: float | None
    attributes: AttributeScore


def describe_task(benchmark: Benchmark, submission: Submission, task: Task, tally: LabelTally) -> TaskDetail:
    """Describe one submitted task from its tally."""
    truth = benchmark.labels[task.name][benchmark.test_rows]
    known = truth != NOT_ANNOTATED if truth.ndim == 1 else (truth != NOT_ANNOTATED).all(axis=1)
    n_annotated, support = int(known.sum()), tally.totals[2].astype(np.int64)
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
        attributes=_attributes(submission, task, tally, truth, known),
    )


def _label_scores(task: Task, tally: LabelTally) -> dict[str, LabelScore]:
    hits, predicted, true = tally.totals
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


def _attributes(
    submission: Submission, task: Task, tally: LabelTally, truth: IntArray, known: BoolArray
) -> AttributeScore:
    """What others report beside macro F1, over the test rows that are annotated."""
    n_hits, n_predicted, n_true = (total.astype(np.int64) for total in tally.totals)
    n_images = int(known.sum())
    labels = truth[known]
    means: dict[str, Mean] = {}
    if task.multi_label:
        means["ma"] = mean_accuracy(n_hits, n_predicted, n_true, n_images)
        means |= image_metrics(labels == 1, submission.predictions[task.name][known].astype(bool))
    else:
        means["accuracy"] = (int(n_hits.sum()) / n_images if n_images else None), 0
        means["balanced_accuracy"] = balanced_accuracy(n_hits, n_true)
    precisions: dict[str, float | None] = {}
    if task.name in submission.scores:
        scores = submission.scores[task.name]
        for place, label in enumerate(task.labels):
            has_label = labels[:, place] == 1 if task.multi_label else labels == place
            precisions[label] = average_precision(scores[known, place], has_label)
        means["mean_average_precision"] = _mean_of_known(precisions)
    return AttributeScore(
        values={name: value for name, (value, _) in means.items()},
        left_out={name: n_left_out for name, (_, n_left_out) in means.items() if n_left_out},
        average_precision=precisions,
    )


def _mean_of_known(values: Mapping[str, float | None]) -> Mean:
    known = np.array([value for value in values.values() if value is not None], dtype=np.float64)
    return (ordered_mean(known) if known.size else None), len(values) - known.size
