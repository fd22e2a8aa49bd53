"""Finds where the answers of classification tasks go wrong: by threshold, by pairs of labels, and by image.

Nothing here is part of a score. The F1 of the best threshold is found on the test labels themselves: no submission can
reach it honestly, and it says how much of a low F1 is due to the threshold alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from piq_bench.metrics.multilabel import precision_recall
from piq_bench.read.predictions import THRESHOLD
from piq_bench.records import NOT_ANNOTATED, Benchmark, BoolArray, FloatArray, IntArray, Submission, Task

MOST_LABELS = 60  # labels of a task whose thresholds are tried, the most frequent ones
N_POINTS = 50  # of a precision-recall curve
N_PAIRS = 10  # pairs of labels of a task
N_MISTAKES = 6  # images of a task
PER_KIND = 2  # images of a task with the same mistake


@dataclass(frozen=True)
class LabelCurve:
    """Precision and recall of one label of a multi-label task that was submitted as floats.

    Attributes:
        recall, precision: points of the curve, by rising recall.
        best_f1: largest F1 of any threshold, chosen on the test labels; not the score.
        best_threshold: that threshold; an image has the label if its score is at least this.
    """

    task: str
    label: str
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    best_f1: float
    best_threshold: float


@dataclass(frozen=True)
class LabelPair:
    """How often one label of a multi-label task was predicted instead of another.

    Attributes:
        missed: label that the images have and that was not predicted.
        given: label that was predicted and that the images do not have.
        images: number of images.
        share: their share of the images that have the missed label.
    """

    task: str
    missed: str
    given: str
    images: int
    share: float


@dataclass(frozen=True)
class Mistake:
    """An image with a wrong answer.

    Attributes:
        task: name of the task.
        row: benchmark row of the image.
        true, given: the labels that it has and those that were predicted, of a multi-label task only where they differ.
    """

    task: str
    row: int
    true: tuple[str, ...]
    given: tuple[str, ...]


def label_curves(benchmark: Benchmark, submission: Submission) -> tuple[LabelCurve, ...]:
    """A curve for each label of each multi-label task with scores, of those labels that an image has."""
    curves = []
    for task, truth, known in _multi_label(benchmark, submission):
        if task.name not in submission.scores:
            continue
        scores = submission.scores[task.name][known].astype(np.float64)
        support = truth.sum(axis=0)
        for label in np.sort(np.argsort(-support, kind="stable")[:MOST_LABELS]).tolist():
            if support[label]:
                curves.append(_curve(task.name, task.labels[label], scores[:, label], truth[:, label]))
    return tuple(curves)


def label_pairs(benchmark: Benchmark, submission: Submission) -> tuple[LabelPair, ...]:
    """The most frequent pairs of each multi-label task."""
    pairs = []
    for task, truth, known in _multi_label(benchmark, submission):
        given = submission.predictions[task.name][known].astype(bool)
        counts = (truth & ~given).T.astype(np.float64) @ (given & ~truth).astype(np.float64)
        support = truth.sum(axis=0)
        for place in np.argsort(-counts, axis=None, kind="stable")[:N_PAIRS].tolist():
            missed, wrong = divmod(place, len(task.labels))
            images = int(counts[missed, wrong])
            if images:
                names = task.labels[missed], task.labels[wrong]
                pairs.append(LabelPair(task.name, *names, images, images / int(support[missed])))
    return tuple(pairs)


def worst_mistakes(benchmark: Benchmark, submission: Submission) -> tuple[Mistake, ...]:
    """Images with the most certain wrong answers; without scores, those with the most frequent mistakes."""
    mistakes = []
    for task in benchmark.classification_tasks:
        if task.name not in submission.predictions:
            continue
        truth = benchmark.labels[task.name][benchmark.test_rows]
        find = _wrong_sets if task.multi_label else _wrong_labels
        mistakes += find(task, truth, submission, benchmark.test_rows)
    return tuple(mistakes)


def _multi_label(benchmark: Benchmark, submission: Submission) -> list[tuple[Task, BoolArray, BoolArray]]:
    """The submitted multi-label tasks, the labels of the annotated test images, and which these are."""
    found = []
    for task in benchmark.classification_tasks:
        if task.multi_label and task.name in submission.predictions:
            truth = benchmark.labels[task.name][benchmark.test_rows]
            known = (truth != NOT_ANNOTATED).all(axis=1)
            found.append((task, truth[known] == 1, known))
    return found


def _curve(task: str, label: str, scores: FloatArray, truth: BoolArray) -> LabelCurve:
    precision, recall, thresholds = precision_recall(scores, truth)
    either = precision + recall
    f1 = np.divide(2.0 * precision * recall, either, out=np.zeros_like(either), where=either > 0)
    best = int(f1.argmax())
    precision, recall = np.append(precision, 1.0), np.append(recall, 0.0)
    places = np.searchsorted(-recall, -np.linspace(0.0, 1.0, N_POINTS))
    places = np.minimum(places, recall.size - 1)
    points = list(zip(recall[places].tolist(), precision[places].tolist(), strict=True))
    distinct = [point for place, point in enumerate(points) if not place or point != points[place - 1]]
    return LabelCurve(
        task=task,
        label=label,
        recall=tuple(one for one, _ in distinct),
        precision=tuple(other for _, other in distinct),
        best_f1=float(f1[best]),
        best_threshold=float(thresholds[best]),
    )


def _wrong_labels(task: Task, truth: IntArray, submission: Submission, rows: IntArray) -> list[Mistake]:
    given = submission.predictions[task.name].astype(np.int64)
    wrong = np.flatnonzero((truth != NOT_ANNOTATED) & (given != truth))
    kind = truth[wrong] * len(task.labels) + given[wrong]
    if task.name in submission.scores:
        scores = submission.scores[task.name][wrong].astype(np.float64)
        place = np.arange(wrong.size)
        importance = scores[place, given[wrong]] - scores[place, truth[wrong]]
    else:
        importance = np.bincount(kind, minlength=1)[kind].astype(np.float64)
    return [
        Mistake(task.name, int(rows[image]), (task.labels[truth[image]],), (task.labels[given[image]],))
        for image in wrong[_first_of_kinds(importance, kind.tolist())].tolist()
    ]


def _wrong_sets(task: Task, truth: IntArray, submission: Submission, rows: IntArray) -> list[Mistake]:
    known = (truth != NOT_ANNOTATED).all(axis=1)
    has, given = truth == 1, submission.predictions[task.name].astype(bool)
    differs = (has != given) & known[:, None]
    wrong = np.flatnonzero(differs.any(axis=1))
    if task.name in submission.scores:
        scores = submission.scores[task.name].astype(np.float64)
        distance = np.abs(scores - THRESHOLD)
        importance = np.where(differs, distance, 0.0).max(axis=1)[wrong]
    else:
        importance = differs.sum(axis=1)[wrong].astype(np.float64)
    kinds = [(has[image] & differs[image]).tobytes() + (given[image] & differs[image]).tobytes() for image in wrong]

    def names(marked: BoolArray) -> tuple[str, ...]:
        return tuple(task.labels[label] for label in np.flatnonzero(marked))

    return [
        Mistake(task.name, int(rows[image]), names(has[image] & ~given[image]), names(given[image] & ~has[image]))
        for image in wrong[_first_of_kinds(importance, kinds)].tolist()
    ]


def _first_of_kinds(importance: FloatArray, kinds: Sequence[int | bytes]) -> IntArray:
    """Places of the most important values, at most PER_KIND of a kind and N_MISTAKES in all."""
    chosen: list[int] = []
    taken: dict[int | bytes, int] = {}
    for place in np.argsort(-importance, kind="stable").tolist():
        if len(chosen) == N_MISTAKES:
            break
        if taken.get(kinds[place], 0) < PER_KIND:
            taken[kinds[place]] = taken.get(kinds[place], 0) + 1
            chosen.append(place)
    return np.array(chosen, dtype=np.int64)
