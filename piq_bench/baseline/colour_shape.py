"""A baseline without training: fixed image features and a nearest-mean classifier.

No parameter is fitted. The re-id embedding is the feature vector itself. An attribute gets the label whose training
images have the nearest mean; only the edge features are compared, since people change their clothes. In a multi-label
task, an image gets a label if the mean of the training images with the label is nearer than the mean of those without.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from piq_bench.baseline.features import N_COLOURS, features
from piq_bench.images.parallel import map_images
from piq_bench.metrics.sums import ordered_sum
from piq_bench.records import NOT_ANNOTATED, TRAIN, Benchmark, BoolArray, EmbeddingArray, FloatArray, IntArray, Task


@dataclass(frozen=True, eq=False)
class Baseline:
    """The answers of the baseline, in the order of the benchmark's test images.

    Attributes:
        embedding: shape (n_test, n_features), float16; None for a benchmark without re-id.
        predictions: for each task, shape (n_test,) of label indices, or (n_test, n_labels) of decisions.
        excluded: tasks without an annotated training image, which have no predictions.
    """

    embedding: EmbeddingArray | None
    predictions: Mapping[str, IntArray | BoolArray]
    excluded: tuple[str, ...]


def answer(
    benchmark: Benchmark, *, workers: int | None = None, advance: Callable[[int], None] = lambda steps: None
) -> Baseline:
    """Answer every task of a benchmark from its images.

    Args:
        benchmark: a benchmark with image files.
        workers: number of processes; None for one per free core.
        advance: called with the number of images read since the last call.

    Raises:
        BadDataset: listing every image that cannot be read.
    """
    rows = np.arange(benchmark.images.size)
    table = np.array(list(map_images(benchmark, rows, features, workers=workers, advance=advance)))
    edges = table[:, N_COLOURS:]
    train, test = np.flatnonzero(benchmark.split == TRAIN), benchmark.test_rows
    predictions: dict[str, IntArray | BoolArray] = {}
    excluded = []
    for task in benchmark.classification_tasks:
        label = benchmark.labels[task.name][train]
        annotated = train[(label if label.ndim == 1 else label[:, 0]) != NOT_ANNOTATED]
        if annotated.size:
            known = benchmark.labels[task.name][annotated]
            predictions[task.name] = nearest_mean(task, known, edges[annotated], edges[test])
        else:
            excluded.append(task.name)
    has_reid = benchmark.retrieval_task is not None
    return Baseline(table[test].astype(np.float16) if has_reid else None, predictions, tuple(excluded))


def nearest_mean(task: Task, label: IntArray, train: IntArray, test: IntArray) -> IntArray | BoolArray:
    """Classify images by the nearest mean of the training images of each label.

    Args:
        task: the task to answer.
        label: labels of the training images, all annotated: shape (n_train,), or (n_train, n_labels) of 0 and 1.
        train: features of the training images, shape (n_train, n_features), whole numbers.
        test: features of the test images, shape (n_test, n_features), whole numbers.

    Returns:
        Shape (n_test,) of label indices, or (n_test, n_labels) of decisions.
    """
    if not task.multi_label:
        distance = [_distance(test, train[label == index]) for index in range(len(task.labels))]
        return np.asarray(np.argmin(np.stack(distance, axis=1), axis=1), dtype=np.int64)
    decisions = [
        _distance(test, train[label[:, index] == 1]) < _distance(test, train[label[:, index] == 0])
        for index in range(len(task.labels))
    ]
    return np.stack(decisions, axis=1)


def _distance(test: IntArray, members: IntArray) -> FloatArray:
    """Shape (n_test,); squared distance to the mean of the given training images, infinite if there are none."""
    if members.shape[0] == 0:
        return np.full(test.shape[0], np.inf)
    step = test - members.sum(axis=0) / members.shape[0]  # whole numbers: the sum is exact in any order
    return ordered_sum(step * step)
