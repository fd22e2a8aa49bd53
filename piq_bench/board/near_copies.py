"""Detects near copies: pairs of entries with equal rows, correlated similarities or common mistakes.

A near copy only causes a warning; only identical predictions are refused (see `grade`). Fine-tuning a published model
is legitimate, and a maintainer can ask the author about it.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from piq_bench.read.mapped import rows_of
from piq_bench.records import NOT_ANNOTATED, Benchmark, FloatArray, IntArray, Submission
from piq_bench.retrieve.matrix import MatrixSimilarity

EQUAL_ROWS: Final = 0.9
# The next two thresholds lie above the values of our own baselines. reference-fss-br and reference-fss-br-uncertainty
# start from the same weights, see the same batches and differ only in the weights of the losses: correlation 0.9965,
# common mistakes 0.913. No other pair of baselines exceeds 0.952 and 0.72. A copy with added noise of a tenth of each
# dimension's standard deviation has a correlation of 0.998; one with 2% of its answers redrawn, 0.96 common mistakes.
SIMILARITIES: Final = 0.9975
MISTAKES: Final = 0.94
FEWEST_MISTAKES: Final = 50  # two entries with few mistakes share them by chance, or because of wrong labels
SAMPLE: Final = 1000  # images, which make half a million pairs
SAMPLE_QUERIES: Final = 500  # with SAMPLE gallery images, as many pairs, where an entry has a matrix
ROUNDING: Final = 1e-12  # similarities, at most 4, that differ by less count as equal


def near_copies(benchmark: Benchmark, one: Submission, other: Submission, other_name: str) -> list[str]:
    """Warnings for a maintainer if `one` is a near copy of `other`; empty for most pairs.

    Args:
        benchmark: benchmark with labels.
        one: submission to check, aligned with the benchmark.
        other: submission to compare with, aligned with the benchmark.
        other_name: name of the entry of `other`, for the warnings.
    """
    found = []
    rows = equal_rows(one, other)
    if rows.get("embedding", 0.0) >= EQUAL_ROWS:
        found.append(f"embedding: {rows['embedding']:.1%} of the rows are identical to those of {other_name}")
    elif (correlation := similarity_correlation(one, other)) is not None and correlation >= SIMILARITIES:
        found.append(f"embedding: the similarities correlate with those of {other_name} (r = {correlation:.4f})")
    if rows.get("answers", 0.0) >= EQUAL_ROWS:
        found.append(f"answers: {rows['answers']:.1%} of the rows are identical to those of {other_name}")
    elif (share := common_mistakes(benchmark, one, other)) is not None and share >= MISTAKES:
        found.append(f"answers: {share:.1%} of the mistakes are the same as those of {other_name}")
    return found


def equal_rows(one: Submission, other: Submission) -> Mapping[str, float]:
    """Share of test images with bitwise equal embeddings, and share with equal answers in all common tasks."""
    found = {}
    if one.embedding is not None and other.embedding is not None and one.embedding.shape == other.embedding.shape:
        same = rows_of(one.embedding, one.order) == rows_of(other.embedding, other.order)
        found["embedding"] = float(same.all(axis=1).mean())
    common = [task for task in one.predictions if task in other.predictions]
    if common:
        alike = np.ones(one.order.size, dtype=bool)
        for task in common:
            same = one.predictions[task] == other.predictions[task]
            alike &= same if same.ndim == 1 else same.all(axis=1)
        found["answers"] = float(alike.mean())
    return found


def similarity_correlation(one: Submission, other: Submission, seed: int = 0) -> float | None:
    """Pearson correlation, over pairs of images, of the similarities that each entry ranks by; in [-1, 1].

    The correlation does not change if the embedding is rotated, mirrored, scaled or padded with zeros, or if its
    dimensions are permuted; a little noise changes it little. Beside a matrix, ranks are correlated instead, over pairs
    of query and gallery image: a copy may be written as its distances, in any unit. None without re-id, or if
    all similarities of one entry are equal.

    Args:
        one: submission with an embedding of any dimension, or with a matrix.
        other: submission aligned with the same benchmark, likewise.
        seed: seed for the choice of SAMPLE images, the same in both; smaller test sets are used whole.
    """
    if not (one.has_retrieval and other.has_retrieval):
        return None
    if one.matrix is not None or other.matrix is not None:
        return _rank_correlation(one, other, np.random.default_rng(seed))
    n_images = one.order.size
    rows = np.random.default_rng(seed).choice(n_images, min(n_images, SAMPLE), replace=False)
    first, second = _similarities(one, rows), _similarities(other, rows)
    if first.size == 0 or min(np.ptp(first), np.ptp(second)) < ROUNDING:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def common_mistakes(benchmark: Benchmark, one: Submission, other: Submission) -> float | None:
    """Of the answers that at least one entry has wrong, the share that both have wrong in the same way; in [0, 1].

    Right answers are left out, since independent good entries agree on them. None if fewer than FEWEST_MISTAKES answers
    are wrong.

    Args:
        benchmark: benchmark with labels; each label of a multi-label task counts as one answer.
        one: submission aligned with the benchmark.
        other: submission aligned with the benchmark.
    """
    n_same, n_wrong = 0, 0
    for task in one.predictions.keys() & other.predictions.keys():
        truth = benchmark.labels[task][benchmark.test_rows]
        answer, other_answer = one.predictions[task], other.predictions[task]
        wrong, other_wrong = answer != truth, other_answer != truth
        annotated = truth != NOT_ANNOTATED
        n_same += int((wrong & other_wrong & (answer == other_answer) & annotated).sum())
        n_wrong += int(((wrong | other_wrong) & annotated).sum())
    return n_same / n_wrong if n_wrong >= FEWEST_MISTAKES else None


def _rank_correlation(one: Submission, other: Submission, rng: np.random.Generator) -> float | None:
    """Correlation of the ranks of similarities of queries with gallery images; at least one entry has a matrix."""
    from scipy.stats import rankdata

    matrices = [each.matrix for each in (one, other) if each.matrix is not None]
    queries = np.flatnonzero(np.all([matrix.row >= 0 for matrix in matrices], axis=0))
    gallery = np.flatnonzero(np.all([matrix.column >= 0 for matrix in matrices], axis=0))
    queries = rng.choice(queries, min(queries.size, SAMPLE_QUERIES), replace=False)
    gallery = rng.choice(gallery, min(gallery.size, SAMPLE), replace=False)
    first, second = (_table(each, queries, gallery) for each in (one, other))
    if first.size == 0 or min(np.ptp(first), np.ptp(second)) < ROUNDING:
        return None
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def _table(submission: Submission, queries: IntArray, gallery: IntArray) -> FloatArray:
    """Similarities of test rows, shape (n_queries * n_gallery,)."""
    if submission.matrix is not None:
        similarity = MatrixSimilarity(submission.matrix)
        column = submission.matrix.column[gallery]
        rows = [similarity.rows(queries[place : place + 1])[0, column] for place in range(queries.size)]
        return np.asarray(rows, dtype=np.float64).ravel()
    rows_of_both = np.concatenate([queries, gallery])
    values = _vectors(submission, rows_of_both)
    squares = np.einsum("ij,ij->i", values, values)
    one, other = slice(queries.size), slice(queries.size, None)
    return np.asarray(2 * values[one] @ values[other].T - squares[one, None] - squares[None, other]).ravel()


def _similarities(submission: Submission, rows: IntArray) -> FloatArray:
    """Similarities of all pairs of some test rows, shape (n_pairs,); fast and not exact to the last bit."""
    values = _vectors(submission, rows)
    products = values @ values.T
    squares = np.diag(products)
    pairs = np.triu_indices(rows.size, 1)
    return np.asarray((2 * products - squares[:, None] - squares[None, :])[pairs])


def _vectors(submission: Submission, rows: IntArray) -> FloatArray:
    """Vectors whose squared distances order pairs as the submission does, shape (n_rows, dimension)."""
    assert submission.embedding is not None  # noqa: S101  (the caller checked)
    values = np.asarray(rows_of(submission.embedding, submission.order[rows]), dtype=np.float64)
    values /= np.abs(values).max() or 1.0  # so that no square overflows or underflows
    if submission.distance == "cosine":
        values /= np.linalg.norm(values, axis=1, keepdims=True)
    else:
        values -= values.mean(axis=0)  # keeps distances, and avoids cancellation far from the origin
    return values
