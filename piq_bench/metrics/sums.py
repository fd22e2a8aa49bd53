"""Sums whose order is part of their definition, so that every machine gets the same last bit.

The order of `np.sum` is an implementation detail, and that of a BLAS product even depends on the processor. Values that
enter a score are added one by one, from left to right, each product and each sum rounded to float64.
"""

import numpy as np

from piq_bench.records import FloatArray, IntArray

MANY = 128  # weightings: so many are added side by side faster than each along its own values


def ordered_sum(values: FloatArray, axis: int = -1, *, overwrite: bool = False) -> FloatArray:
    """Sum along an axis, one by one in index order; 0.0 for no values. Each partial sum is rounded to float64.

    Args:
        values: float64, of any shape.
        axis: the axis to sum along.
        overwrite: write the partial sums over the values, which saves as much memory as they take.

    >>> float(ordered_sum(np.array([1e16, 1.0, 1.0])))  # exactly rounded it would be 1e16 + 2
    1e+16
    """
    if values.shape[axis] == 0:
        return np.zeros(np.delete(values.shape, axis))
    partial = np.add.accumulate(values, axis=axis, out=values if overwrite else None)
    return np.asarray(np.take(partial, -1, axis=axis))


def ordered_mean(values: FloatArray) -> float:
    """Mean of a non-empty 1-d array by `ordered_sum`."""
    return float(ordered_sum(values)) / values.size


def weighted_sums(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Sums of weighted values by `ordered_sum`, each product rounded: shape (n_sums, n_weightings).

    Args:
        values: shape (n_sums, n_values); none negative.
        weights: shape (n_weightings, n_values); none negative.
    """
    total = np.zeros((values.shape[0], weights.shape[0]))
    if weights.shape[0] < MANY:
        for row, value in zip(total, values, strict=True):
            row[:] = ordered_sum(weights * value)
        return total
    term = np.empty_like(total)
    for value, weight in zip(np.ascontiguousarray(values.T), np.ascontiguousarray(weights.T), strict=True):
        total += np.multiply(value[:, None], weight, out=term)
    return total


def segment_sums(values: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Sum of the values of each segment, added in index order.

    Args:
        values: shape (n_values,).
        segment: shape (n_values,); segment of each value, below n_segments.
        n_segments: number of sums.
    """
    totals = np.bincount(segment, weights=values, minlength=n_segments)  # in index order, unlike reduceat
    return totals.astype(np.float64, copy=False)  # without any value, bincount returns integers
