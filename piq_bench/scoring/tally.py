"""Sums per cluster of images, from which every reported number follows for any weighting of the clusters.

Weights of 1 give the score, and the draws of a bootstrap give its spread: one computation for both, and no second
retrieval. Label counts are whole numbers, exact in float64 in any order of summation, so a matrix product may add them;
values of queries are added from left to right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.metrics.labels import macro_f1
from piq_bench.metrics.piq import aspect_scores, piq, reid_score
from piq_bench.metrics.sums import segment_sums, weighted_sums
from piq_bench.records import NOT_ANNOTATED, Benchmark, BoolArray, FloatArray, IntArray, Submission
from piq_bench.scoring.bootstrap import Clusters

BLOCK_CLUSTERS = 1 << 13  # whose counts of all tasks are multiplied at a time
MOST_BYTES = 1 << 28  # of counts side by side in memory
EXACT = 2.0**24  # float32 holds all whole numbers up to this
Pairs = tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]
"""Test rows and labels, one of each per pair."""


@dataclass(frozen=True, eq=False)
class LabelTally:
    """Images correctly predicted to have a label, predicted to have it, and having it; (n_clusters, n_labels) each."""

    hits: FloatArray
    predicted: FloatArray
    true: FloatArray

    @cached_property
    def totals(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Shape (n_labels,) each; the same three over all clusters."""
        return self.hits.sum(axis=0), self.predicted.sum(axis=0), self.true.sum(axis=0)


@dataclass(frozen=True, eq=False)
class ReidTally:
    """Sums per identity cluster; group clusters have no queries.

    Attributes:
        n_queries: shape (n_identities,); scored queries.
        total: for each metric, shape (n_identities,); sum over the identity's scored queries.
    """

    n_queries: FloatArray
    total: Mapping[str, FloatArray]


def tally_labels(benchmark: Benchmark, submission: Submission, clusters: Clusters) -> dict[str, LabelTally]:
    """Count every submitted classification task over the test rows annotated for it."""
    rows = benchmark.test_rows
    tallies = {}
    for task in benchmark.classification_tasks:
        if task.name not in submission.predictions:
            continue
        truth, predicted = benchmark.labels[task.name][rows], submission.predictions[task.name]
        counted = _pairs_of_sets(truth, predicted) if task.multi_label else _pairs(truth, predicted.astype(np.int64))
        tallies[task.name] = LabelTally(*(_per_cluster(pairs, len(task.labels), clusters) for pairs in counted))
    return tallies


def tally_reid(
    clusters: Clusters, query_identity: IntArray, scored: BoolArray, values: Mapping[str, FloatArray]
) -> ReidTally:
    """Sum the metrics of the scored queries of each identity.

    Args:
        clusters: the units of resampling.
        query_identity: shape (n_queries,); index into benchmark.identities.
        scored: shape (n_queries,); whether the query has a positive left.
        values: for each metric, shape (n_queries,); value of each query.
    """
    place = np.searchsorted(clusters.identity, query_identity[scored])
    n_identities = clusters.identity.size
    return ReidTally(
        np.bincount(place, minlength=n_identities).astype(np.float64),
        {name: segment_sums(value[scored], place, n_identities) for name, value in values.items()},
    )


def reid_estimates(tally: ReidTally, weights: FloatArray) -> dict[str, FloatArray]:
    """Macro and plain means of every metric; shape (n_weightings,), NaN where no scored query has weight.

    Args:
        tally: sums per identity.
        weights: shape (n_weightings, n_clusters); how often each cluster counts.
    """
    asked = np.flatnonzero(tally.n_queries)  # the others add nothing, and there may be many
    own = weights[:, : tally.n_queries.size]
    own = own if asked.size == tally.n_queries.size else own[:, asked]
    n_asked = tally.n_queries[asked]
    totals = [total[asked] for total in tally.total.values()]
    means = [total / n_asked for total in totals]
    n_people, n_queries, *sums = weighted_sums(np.stack([np.ones(asked.size), n_asked, *means, *totals]), own)
    macro = {f"macro_{name}": _ratio(total, n_people) for name, total in zip(tally.total, sums, strict=False)}
    plain = {name: _ratio(total, n_queries) for name, total in zip(tally.total, sums[len(totals) :], strict=True)}
    return macro | plain


class LabelCounts:
    """All counts of all tasks side by side, so that one matrix product weights them."""

    def __init__(self, tallies: Mapping[str, LabelTally]) -> None:
        self.tasks = tuple(tallies)
        self.parts = [part for tally in tallies.values() for part in (tally.hits, tally.predicted, tally.true)]
        totals = [total for tally in tallies.values() for total in tally.totals]
        self.largest = max((float(total.max(initial=0.0)) for total in totals), default=0.0)
        n_bytes = 4 * sum(part.size for part in self.parts)
        self.whole = _side_by_side(self.parts, slice(None), np.float32) if 0 < n_bytes <= MOST_BYTES else None

    def f1(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Macro F1 by task; shape (n_weightings,), NaN where no label occurs.

        Args:
            weights: shape (n_weightings, n_clusters); how often each cluster counts.
        """
        counts = iter(self._weighted(weights))
        return {name: macro_f1(next(counts), next(counts), next(counts)) for name in self.tasks}

    def _weighted(self, weights: FloatArray) -> list[FloatArray]:
        """`weights @ part` for each part; sums of whole numbers below 2**24 are exact in float32, in any order."""
        if not self.parts:
            return []
        if self.whole is not None and self.largest * float(weights.max(initial=0.0)) < EXACT:
            total = (weights.astype(np.float32) @ self.whole).astype(np.float64)
        else:
            total = np.zeros((weights.shape[0], sum(part.shape[1] for part in self.parts)))
            for first in range(0, weights.shape[1], BLOCK_CLUSTERS):
                some = slice(first, first + BLOCK_CLUSTERS)
                total += weights[:, some] @ _side_by_side(self.parts, some, np.float64)
        return np.split(total, np.cumsum([part.shape[1] for part in self.parts])[:-1], axis=1)


def _side_by_side(
    parts: list[FloatArray], some: slice, dtype: type[np.float32] | type[np.float64]
) -> NDArray[np.floating[Any]]:
    return np.concatenate([part[some].astype(dtype, copy=False) for part in parts], axis=1)


def piq_estimates(
    benchmark: Benchmark, reid: Mapping[str, FloatArray], f1: Mapping[str, FloatArray]
) -> tuple[dict[str, FloatArray | None], FloatArray | None]:
    """Scores of the aspects and PIQ from the estimates of the tasks; None where a task was not submitted."""
    scores = dict(f1)
    if benchmark.retrieval_task is not None and reid:
        scores[benchmark.retrieval_task.name] = reid_score(reid["macro_rank1"], reid["macro_map"])
    aspects = aspect_scores(benchmark.tasks, scores)
    return aspects, piq(aspects)


def point_estimates(estimates: Mapping[str, FloatArray]) -> dict[str, float | None]:
    """The first weighting's numbers."""
    return {name: point_estimate(values) for name, values in estimates.items()}


def point_estimate(estimate: FloatArray | None) -> float | None:
    """The first weighting's number; None where it is undefined."""
    return None if estimate is None or np.isnan(estimate[0]) else float(estimate[0])


def _pairs(truth: IntArray, predicted: IntArray) -> list[Pairs]:
    """Annotated rows with their labels: those predicted correctly, those predicted, and the true ones."""
    annotated = np.flatnonzero(truth != NOT_ANNOTATED)
    true, said = truth[annotated], predicted[annotated]
    right = true == said
    return [(annotated[right], true[right]), (annotated, said), (annotated, true)]


def _pairs_of_sets(truth: IntArray, predicted: IntArray | BoolArray) -> list[Pairs]:
    """The same for several labels per row, given as shape (n_test, n_labels)."""
    annotated = (truth != NOT_ANNOTATED).all(axis=1, keepdims=True)
    has, said = (truth == 1) & annotated, predicted.astype(bool) & annotated
    return [(row, label) for row, label in map(np.nonzero, (has & said, said, has))]


def _per_cluster(pairs: Pairs, n_labels: int, clusters: Clusters) -> FloatArray:
    """Shape (n_clusters, n_labels); how many of the rows with these labels are of the cluster."""
    row, label = pairs
    counts = np.bincount(clusters.of_row[row] * n_labels + label, minlength=clusters.total * n_labels)
    return counts.reshape(clusters.total, n_labels).astype(np.float64)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.asarray(np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0))
