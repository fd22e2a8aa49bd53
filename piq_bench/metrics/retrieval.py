"""Pure functions of queries' rankings: average precision, CMC and INP, with ties scored by their expectation.

A ranking is given by its runs of equal similarity that hold a positive, most similar first. Only the number of images
between those runs matters, so a gallery of any size takes a few numbers per positive. Every function returns the mean
over all orders of the tied images, in closed form: McSherry and Najork, Computing Information
Retrieval Performance Measures Efficiently in the Presence of Tied Scores, ECIR 2008.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from piq_bench.metrics.sums import ordered_sum, segment_sums
from piq_bench.records import FloatArray, IntArray

TIED_VALUES = 1 << 16  # images of runs that are summed at a time


@dataclass(frozen=True, eq=False)
class Rankings:
    """The ranked candidates of some queries. A query without a run has no positive left, and all its metrics are NaN.

    Attributes:
        start: shape (n_queries + 1,); query q has the runs start[q] to start[q + 1], most similar first.
        n_positives: shape (n_runs,); positives in each run of equal similarity that holds one, at least 1.
        n_images: shape (n_runs,); candidates in the run, positives included.
        n_above: shape (n_runs,); candidates more similar than the run, positives included.
    """

    start: IntArray
    n_positives: IntArray
    n_images: IntArray
    n_above: IntArray

    @classmethod
    def of_one(cls, n_positives: list[int], n_images: list[int], n_above: list[int]) -> "Rankings":
        """A single query's ranking."""
        runs = (np.array(counts, dtype=np.int64) for counts in (n_positives, n_images, n_above))
        return cls(np.array([0, len(n_positives)]), *runs)

    @cached_property
    def n_found(self) -> IntArray:
        """Shape (n_runs + 1,); positives in earlier runs, of all queries."""
        return np.concatenate([[0], np.cumsum(self.n_positives)])

    @cached_property
    def answerable(self) -> IntArray:
        """Indices of the queries with a positive, ascending."""
        return np.flatnonzero(np.diff(self.start))

    @cached_property
    def total(self) -> IntArray:
        """Shape (n_queries,); positives of each query."""
        return np.diff(self.n_found[self.start])


def average_precision(rankings: Rankings) -> FloatArray:
    """Non-interpolated average precision of each query, shape (n_queries,); in (0, 1], higher is better.

    The mean over positives of (positives at or above its rank) / (its rank).

    >>> average_precision(Rankings.of_one([1, 1], [1, 2], [0, 1])).tolist()  # (1 + (2/2 + 2/3) / 2) / 2
    [0.9166666666666666]
    """
    return _mean_over_positives(rankings, lambda found, rank: (found + 1.0) / rank)


def average_precision_market1501(rankings: Rankings) -> FloatArray:
    """Trapezoidal average precision, as in the code published with Market-1501; for comparison with its users only.

    The mean over positives of the mean precision at its rank and at the rank before it; before rank 1 it is 1.
    Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.

    >>> average_precision_market1501(Rankings.of_one([1, 1], [1, 1], [0, 2])).tolist()  # hits 1 0 1
    [0.7916666666666666]
    """

    def trapezoid(found: FloatArray, rank: FloatArray) -> FloatArray:
        before = np.where(rank > 1.0, found / np.maximum(rank - 1.0, 1.0), 1.0)
        return (before + (found + 1.0) / rank) / 2.0

    return _mean_over_positives(rankings, trapezoid)


def cumulative_match(rankings: Rankings, rank: int) -> FloatArray:
    """CMC at `rank`: the probability that a positive is among the first `rank` images; in [0, 1], higher is better.

    >>> cumulative_match(Rankings.of_one([1], [4], [0]), 1).tolist()  # one positive among four tied images
    [0.25]
    """

    def hit(n_positives: int, n_images: int, n_above: int) -> float:
        n_drawn = rank - n_above  # images of the first run that are within the rank
        if n_drawn <= 0:
            return 0.0
        if n_drawn > n_images - n_positives:
            return 1.0
        missed, possible = 1, 1
        for place in range(n_drawn):  # drawing without replacement, in whole numbers
            missed *= n_images - n_positives - place
            possible *= n_images - place
        return (possible - missed) / possible

    first = rankings.start[rankings.answerable]
    n_positives, n_images, n_above = rankings.n_positives[first], rankings.n_images[first], rankings.n_above[first]
    values = np.where(n_above < rank, 1.0, 0.0)
    tied = np.flatnonzero(n_images != n_positives)
    values[tied] = _each(hit, n_positives[tied], n_images[tied], n_above[tied])
    return _of_queries(rankings, values)


def inverse_negative_penalty(rankings: Rankings) -> FloatArray:
    """INP: number of positives / rank of the last one; in (0, 1], higher is better.

    Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI 2021.

    >>> inverse_negative_penalty(Rankings.of_one([1], [2], [0])).tolist()  # (1/1 + 1/2) / 2
    [0.75]
    """
    last = rankings.start[rankings.answerable + 1] - 1
    total = rankings.total[rankings.answerable]
    n_positives, n_images, n_above = rankings.n_positives[last], rankings.n_images[last], rankings.n_above[last]
    values = total / (n_above + n_images)
    tied = np.flatnonzero(n_images != n_positives)
    _, kind = _distinct(n_positives[tied], n_images[tied])
    for runs in _alike(kind, n_images[tied]):
        some = tied[runs]
        of_one = int(n_positives[some[0]]), int(n_images[some[0]])
        values[some] = _expected_penalties(*of_one, n_above[some, None], total[some, None])
    return _of_queries(rankings, values)


def chance_average_precision(n_positives: IntArray, n_images: IntArray) -> FloatArray:
    """Expected average precision of a random order: all candidates tied, at least one of them a positive.

    For r positives among n images, it is the mean over ranks i = 1 ... n of (1 + (i - 1) c) / i with
    c = (r - 1) / (n - 1), computed from the harmonic numbers.

    >>> chance_average_precision(np.array([1, 2]), np.array([2, 2])).tolist()  # (1/1 + 1/2) / 2, and certainty
    [0.75, 1.0]
    """
    largest = int(n_images.max(initial=1))
    harmonic = np.add.accumulate(1.0 / np.arange(1, largest + 1))[n_images - 1]
    inside = (n_positives - 1) / np.maximum(n_images - 1, 1)
    return np.asarray((inside * (n_images - harmonic) + harmonic) / n_images)


CMC_RANKS = (1, 5, 10)
FURTHER_CMC_RANKS = (20,)  # reported beside the score, and not part of its digest
AVERAGE_PRECISIONS: dict[str, Callable[[Rankings], FloatArray]] = {
    "non-interpolated": average_precision,
    "market1501": average_precision_market1501,
}


def metrics_of(ap: str) -> dict[str, Callable[[Rankings], FloatArray]]:
    """The reported metrics by name, under one convention of average precision: a new metric is one line here.

    Raises:
        KeyError: if the convention is unknown.
    """
    return {"map": AVERAGE_PRECISIONS[ap], **_cmc(CMC_RANKS), "minp": inverse_negative_penalty}


def further_metrics() -> dict[str, Callable[[Rankings], FloatArray]]:
    """The metrics that are reported beside the score, by name."""
    return _cmc(FURTHER_CMC_RANKS)


def _cmc(ranks: Sequence[int]) -> dict[str, Callable[[Rankings], FloatArray]]:
    def at(rank: int) -> Callable[[Rankings], FloatArray]:
        return lambda rankings: cumulative_match(rankings, rank)

    return {f"rank{rank}": at(rank) for rank in ranks}


def _mean_over_positives(rankings: Rankings, value: Callable[[FloatArray, FloatArray], FloatArray]) -> FloatArray:
    """Mean over positives of `value(positives above it, its rank)`, which must be linear in the positives above."""
    found, n_runs = rankings.n_found, np.diff(rankings.start)
    n_found = found[:-1] - np.repeat(found[rankings.start[:-1]], n_runs)  # positives in earlier runs
    sums = value(n_found.astype(np.float64), (rankings.n_above + 1).astype(np.float64))

    tied = np.flatnonzero(rankings.n_images > 1)
    counts = rankings.n_images[tied], rankings.n_positives[tied], rankings.n_above[tied], n_found[tied]
    first, of_tied = _distinct(*counts)
    of_runs = np.empty(first.size)
    for runs in _alike(counts[0][first], counts[0][first]):
        n_images, n_positives, n_above, n_earlier = (each[first[runs], None] for each in counts)
        place = np.arange(n_images[0, 0], dtype=np.float64)  # images above, inside the run
        inside = place * ((n_positives - 1) / (n_images - 1))  # expected positives among them
        terms = value(np.asarray(n_earlier + inside), np.asarray(n_above + 1.0 + place))
        of_runs[runs] = ordered_sum(terms) * (n_positives / n_images)[:, 0]
    sums[tied] = of_runs[of_tied]
    kept = rankings.answerable
    total = segment_sums(sums, np.repeat(np.arange(n_runs.size), n_runs), n_runs.size)
    return _of_queries(rankings, total[kept] / rankings.total[kept])


def _expected_penalties(n_positives: int, n_images: int, n_above: IntArray, total: IntArray) -> FloatArray:
    """INP of queries whose last positive lies in a run with other images: shape (n_queries,).

    Args:
        n_positives: positives in each of the runs.
        n_images: images in each of them.
        n_above: shape (n_queries, 1); images above the run.
        total: shape (n_queries, 1); positives of the query.
    """
    # The last positive is at place j of a run of t images with chance C(j-1, r-1) / C(t, r); from place t upwards, each
    # chance follows from the one below it.
    place = np.arange(n_images, n_positives - 1, -1, dtype=np.float64)
    step = np.empty_like(place)
    step[0] = n_positives / n_images
    step[1:] = (place[:-1] - n_positives) / (place[:-1] - 1.0)
    chance = np.multiply.accumulate(step)
    return ordered_sum(np.asarray(chance * (total / (n_above + place))))


def _of_queries(rankings: Rankings, values: FloatArray) -> FloatArray:
    """Shape (n_queries,); the values of the answerable queries, NaN for the others."""
    result = np.full(rankings.start.size - 1, np.nan)
    result[rankings.answerable] = values
    return result


def _each(value: Callable[..., float], *counts: IntArray) -> FloatArray:
    """`value` of every row of counts, computed once for equal rows: repeated embeddings repeat their ties."""
    first, of_row = _distinct(*counts)
    rows = zip(*(each[first].tolist() for each in counts), strict=True)
    return np.array([value(*row) for row in rows], dtype=np.float64)[of_row]


def _distinct(*counts: IntArray) -> tuple[IntArray, IntArray]:
    """The first of all equal rows of counts, and for each row which of these it equals."""
    code: IntArray = np.zeros(counts[0].size, dtype=np.int64)
    first = code[:0]
    for each in counts:
        _, first, code = np.unique(code * (each.max(initial=0) + 1) + each, return_index=True, return_inverse=True)
    return first, code


def _alike(kind: IntArray, n_images: IntArray) -> Iterator[IntArray]:
    """Indices of the runs of one kind after the other, of at most about TIED_VALUES images at a time.

    Args:
        kind: shape (n_runs,); runs of a kind have the same number of images.
        n_images: shape (n_runs,); images in each run.
    """
    order = np.argsort(kind, kind="stable")
    for runs in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
        step = max(1, TIED_VALUES // int(n_images[runs[0]])) if runs.size else 1
        yield from (runs[at : at + step] for at in range(0, runs.size, step))
