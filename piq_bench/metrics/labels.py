"""Pure functions of counts of true and predicted labels: precision, recall, F1, and what chance would reach.

Counts are whole numbers, so every value here is one division of integers, the same on every machine.
"""

import numpy as np

from piq_bench.metrics.sums import ordered_sum
from piq_bench.records import FloatArray, IntArray


def precision(n_hits: int, n_predicted: int) -> float | None:
    """Share of the images predicted to have a label that have it; None if there are none."""
    return n_hits / n_predicted if n_predicted else None


def recall(n_hits: int, n_true: int) -> float | None:
    """Share of the images with a label that are predicted to have it; None if there are none."""
    return n_hits / n_true if n_true else None


def f1(n_hits: FloatArray, n_predicted: FloatArray, n_true: FloatArray) -> FloatArray:
    """2 hits / (predicted + true), elementwise; 0 where both are 0.

    >>> f1(np.array([1.0]), np.array([2.0]), np.array([1.0]))
    array([0.66666667])
    """
    together = np.asarray(n_predicted + n_true, dtype=np.float64)
    return np.divide(2.0 * n_hits, together, out=np.zeros_like(together), where=together > 0)


def macro_f1(n_hits: FloatArray, n_predicted: FloatArray, n_true: FloatArray) -> FloatArray:
    """Mean F1 over the labels that occur in the ground truth, whatever was predicted; in [0, 1].

    Args:
        n_hits: shape (..., n_labels), whole numbers; images that have the label and are predicted to have it.
        n_predicted: shape (..., n_labels), whole numbers; images that are predicted to have it.
        n_true: shape (..., n_labels), whole numbers; images that have it.

    Returns:
        Shape (...); NaN where no label occurs, since the mean is then undefined.

    >>> float(macro_f1(np.array([2.0, 0, 0]), np.array([3.0, 0, 1]), np.array([2.0, 2, 0])))  # (4/5 + 0) / 2
    0.4
    """
    occurs = n_true > 0
    n_labels = occurs.sum(axis=-1)
    total = ordered_sum(np.where(occurs, f1(n_hits, n_predicted, n_true), 0.0))
    return np.asarray(np.divide(total, n_labels, out=np.full(total.shape, np.nan), where=n_labels > 0))


def confusion(truth: IntArray, predicted: IntArray, n_labels: int) -> IntArray:
    """Counts of shape (n_labels, n_labels): true label by predicted label.

    Args:
        truth: shape (n_images,); label indices, annotated images only.
        predicted: shape (n_images,); label indices.
        n_labels: number of labels in the vocabulary.
    """
    counts = np.bincount(truth * n_labels + predicted, minlength=n_labels * n_labels)
    return counts.reshape(n_labels, n_labels).astype(np.int64)


def chance_f1(n_true: IntArray, n_images: int, *, multi_label: bool) -> float:
    """Macro F1 of guessing, from its expected counts: each label is equally likely, or a fair coin decides each one."""
    share = 2 if multi_label else n_true.size
    counts = n_true.astype(np.float64)
    return float(macro_f1(counts, np.full_like(counts, n_images), counts * share))  # all counts times `share`


def majority_f1(n_true: IntArray, n_images: int, *, multi_label: bool) -> float:
    """Macro F1 of always giving the most frequent answer: one label, or for each label yes if over half have it."""
    counts = n_true.astype(np.float64)
    given = 2 * n_true > n_images if multi_label else np.arange(n_true.size) == int(np.argmax(n_true))
    return float(macro_f1(np.where(given, counts, 0.0), np.where(given, float(n_images), 0.0), counts))
