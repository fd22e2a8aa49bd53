"""Pure functions of labels and scores: what papers on pedestrian attributes report, such as mA and accuracy per image.

Implementations differ where a rate has no case: a label that no image has, an image without a label. Here what has no
case is left out of the mean and counted. Counts are whole numbers and shares are summed in one order, so their values
have the same bits on every machine and in any order of images. Average precision has the bits of
scikit-learn's, which takes a second to import.

Li et al., A Richly Annotated Pedestrian Dataset for Person Retrieval in Real Surveillance Scenarios, TIP 2019.
"""

import numpy as np

from piq_bench.metrics.sums import ordered_mean, ordered_sum
from piq_bench.records import BoolArray, EmbeddingArray, FloatArray, IntArray

Mean = tuple[float | None, int]
"""A mean in [0, 1], None if all is left out; and the number of labels or images that are left out."""


def mean_accuracy(n_hits: IntArray, n_predicted: IntArray, n_true: IntArray, n_images: int) -> Mean:
    """mA: mean over labels of (true-positive rate + true-negative rate) / 2, without labels that all or no images have.

    Args:
        n_hits: shape (n_labels,); images that have the label and are predicted to have it.
        n_predicted: shape (n_labels,); images that are predicted to have it.
        n_true: shape (n_labels,); images that have it.
        n_images: number of images, at least as many as have any label.

    >>> mean_accuracy(np.array([1, 0]), np.array([2, 1]), np.array([2, 0]), 4)  # (1/2 + 1/2) / 2; nobody has the second
    (0.5, 1)
    """
    has_case = (n_true > 0) & (n_true < n_images)
    hits, true, n_false = n_hits[has_case], n_true[has_case], n_images - n_true[has_case]
    rejected = n_false - (n_predicted[has_case] - hits)
    return _mean((hits / true + rejected / n_false) / 2.0, n_true.size)


def balanced_accuracy(n_hits: IntArray, n_true: IntArray) -> Mean:
    """Mean recall of the labels of a single-label task, without labels that no image has. Of two labels, it is mA.

    Args:
        n_hits: shape (n_labels,); images that have the label and are predicted to have it.
        n_true: shape (n_labels,); images that have it.

    >>> balanced_accuracy(np.array([1, 3, 0]), np.array([2, 3, 0]))  # (1/2 + 3/3) / 2
    (0.75, 1)
    """
    has_case = n_true > 0
    return _mean(n_hits[has_case] / n_true[has_case], n_true.size)


def image_metrics(truth: BoolArray, predicted: BoolArray) -> dict[str, Mean]:
    """Accuracy, precision, recall and F1 of each image's set of labels, as means over images.

    For the sets G of true and P of predicted labels, accuracy is the size of their intersection divided by that of
    their union; precision divides it by that of P, recall by that of G. An image whose divisor is 0 is left out of that
    mean. F1 is 2 PR / (P + R) of the two means, not a mean over images.

    Args:
        truth: shape (n_images, n_labels).
        predicted: shape (n_images, n_labels).

    >>> image_metrics(np.array([[True, True], [False, False]]), np.array([[True, False], [False, False]]))
    {'accuracy': (0.5, 1), 'precision': (1.0, 1), 'recall': (0.5, 1), 'f1': (0.6666666666666666, 0)}
    """
    n_hits, n_either, n_predicted, n_true = (
        sets.sum(axis=1) for sets in (truth & predicted, truth | predicted, predicted, truth)
    )
    precision, recall = _mean_share(n_hits, n_predicted), _mean_share(n_hits, n_true)
    return {
        "accuracy": _mean_share(n_hits, n_either),
        "precision": precision,
        "recall": recall,
        "f1": (_harmonic_mean(precision[0], recall[0]), 0),
    }


def average_precision(scores: EmbeddingArray | FloatArray, truth: BoolArray) -> float | None:
    """Average precision of a label's scores over images: sum over thresholds of precision times gained recall.

    Images with equal scores share a threshold, so that no order of images matters.

    Args:
        scores: shape (n_images,), any floats without NaN; higher means rather yes.
        truth: shape (n_images,); whether an image has the label.

    Returns:
        A number in (0, 1]; None if no image has the label.

    >>> average_precision(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))  # 1/2 * 1 + 1/2 * 2/3
    0.8333333333333333
    """
    if not truth.any():
        return None
    precision, recall, _ = precision_recall(scores, truth)
    return float(np.sum((recall - np.append(recall[1:], 0.0)) * precision))


def precision_recall(
    scores: EmbeddingArray | FloatArray, truth: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision and recall of a label if the images with at least a threshold have it, for each threshold from below.

    The numbers are those of scikit-learn's `precision_recall_curve`, to the last bit; importing it takes a second.

    Args:
        scores: shape (n_images,), any floats without NaN; higher means rather yes.
        truth: shape (n_images,); whether an image has the label; one does.

    Returns:
        Precision, recall and threshold; each of shape (n_thresholds,), thresholds ascending: the distinct scores.

    >>> [values.tolist() for values in precision_recall(np.array([0.9, 0.5, 0.1]), np.array([True, False, True]))]
    [[0.6666666666666666, 0.5, 1.0], [1.0, 0.5, 0.5], [0.1, 0.5, 0.9]]
    """
    thresholds, place = np.unique(scores.astype(np.float64), return_inverse=True)
    n_images, n_true = np.bincount(place), np.bincount(place, weights=truth)
    predicted, hits = (np.cumsum(counts[::-1])[::-1] for counts in (n_images, n_true))
    return hits / predicted, hits / hits[0], thresholds


def _mean(values: FloatArray, n_all: int) -> Mean:
    return (ordered_mean(values) if values.size else None), n_all - values.size


def _mean_share(parts: IntArray, wholes: IntArray) -> Mean:
    """Mean of parts / wholes over the images whose whole is not 0; equal wholes are summed first, in whole numbers."""
    n_images = int((wholes > 0).sum())
    if not n_images:
        return None, wholes.size
    totals = np.bincount(wholes, weights=parts)[1:]
    total = ordered_sum(totals / np.arange(1, totals.size + 1))
    return float(total) / n_images, wholes.size - n_images


def _harmonic_mean(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return None
    return 2.0 * one * other / (one + other) if one + other else 0.0
