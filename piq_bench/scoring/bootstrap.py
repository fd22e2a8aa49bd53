"""Draws seeded resamples of clusters of images, and computes intervals from them.

An interval holds the mean score of data sets of the same size, drawn anew, in about 95 of 100 data sets. Percentiles of
resamples alone hold it in 90, if there are few clusters: resamples vary less than data sets, since they vary around a
mean of their own, and nobody knows how much. The expanded percentile interval cuts off less at both ends, by the factor
by which a Student's t interval with an unbiased variance is wider than a normal one with the variance of resamples.

Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section 4.3; for two kinds of clusters, Satterthwaite,
An Approximate Distribution of Estimates of Variance Components, 1946.

Images of one person are alike, and so are near-duplicate frames: resampling images would make intervals too narrow. The
clusters are the identities and, for images without one, their near-duplicate groups. Both kinds are drawn separately,
each as often as it occurs. Draws depend on the seed and on the clusters alone: two submissions to one benchmark get
the same draws, so that their difference is paired.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from os import cpu_count
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from piq_bench.records import NO_GROUP, NO_IDENTITY, Benchmark, FloatArray, IntArray
from piq_bench.scoring.students_t import expanded_tail

BLOCK_VALUES = 1 << 22  # weights at a time
CACHE_VALUES = 1 << 16  # weights drawn at a time: they stay in the cache, which is three times as fast
T = TypeVar("T")
Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Clusters:
    """The units of resampling.

    Attributes:
        of_row: shape (n_test,); cluster of each test row: identities first, by name, then groups, by first image.
        identity: shape (n_identities,); index into benchmark.identities of each identity cluster.
        n_groups: number of group clusters, which follow the identity clusters.
    """

    of_row: IntArray
    identity: IntArray
    n_groups: int

    @property
    def freedom(self) -> float:
        """Degrees of freedom of a mean over all images, whose variance comes from both kinds of clusters.

        A cluster counts by the square of its number of images, as it does in the variance of that mean if the images of
        a cluster are alike.
        """
        squares = np.bincount(self.of_row, minlength=self.total) ** 2
        kinds = (squares[: self.identity.size], squares[self.identity.size :])
        known = [(int(kind.sum()), kind.size - 1) for kind in kinds if kind.size > 1]
        if not known:
            return 0.0
        return sum(variance for variance, _ in known) ** 2 / sum(variance**2 / free for variance, free in known)

    @property
    def total(self) -> int:
        """Number of clusters."""
        return self.identity.size + self.n_groups

    @property
    def once(self) -> FloatArray:
        """Shape (1, n_clusters); weights that count every cluster once, which give the score itself."""
        return np.ones((1, self.total))


def clusters_of(benchmark: Benchmark) -> Clusters:
    """The clusters of a benchmark's query and gallery images."""
    rows = benchmark.test_rows
    owner = benchmark.identity[rows]
    is_unlabelled = np.asarray(owner == NO_IDENTITY)
    group = rows if benchmark.groups is None else benchmark.groups.group[rows]
    group = np.where(group == NO_GROUP, rows, group)  # an image alone is its own group
    identity, of_identity = _numbered(owner[~is_unlabelled], len(benchmark.identities))
    groups, of_group = _numbered(group[is_unlabelled], benchmark.split.size)
    of_row = np.empty(rows.size, dtype=np.int64)
    of_row[~is_unlabelled] = of_identity
    of_row[is_unlabelled] = identity.size + of_group
    return Clusters(of_row, identity, groups.size)


def _numbered(values: IntArray, end: int) -> tuple[IntArray, IntArray]:
    """The distinct values, ascending, all from 0 to below `end`; and the index of each value among them."""
    occurs = np.zeros(end, dtype=bool)
    occurs[values] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[values]


def resampled(
    estimate: Callable[[FloatArray], T],
    clusters: Clusters,
    n_resamples: int,
    seed: int,
    *,
    with_groups: bool = True,
    advance: Advance = lambda steps: None,
) -> list[T]:
    """Estimate from all resamples, a block of them per core at a time.

    Args:
        estimate: takes weights of shape (some resamples, n_clusters): how often each resample drew each cluster.
        clusters: the clusters to draw from.
        n_resamples: total number of resamples.
        seed: seed of the draws.
        with_groups: whether to draw groups too. Without them, there are columns for the identities only, with the same
            numbers: retrieval needs no others, and there may be millions of groups.
        advance: called with the number of resamples finished since the last call.

    Returns:
        What `estimate` returned for each block, in the order of the resamples.
    """
    sizes = (clusters.identity.size, clusters.n_groups) if with_groups else (clusters.identity.size,)
    most, least = (max(1, values // max(1, sum(sizes))) for values in (BLOCK_VALUES, CACHE_VALUES))
    step = min(most, max(least, -(-n_resamples // (cpu_count() or 1))))

    def work(draws: range) -> T:
        weights = np.empty((len(draws), sum(sizes)))
        place = 0
        for stratum, size in enumerate(sizes):
            _draw(seed, stratum, draws.start, weights[:, place : place + size])
            place += size
        return estimate(weights)

    return on_all_cores(work, n_resamples, step, advance)


def on_all_cores(work: Callable[[range], T], n_draws: int, step: int, advance: Advance) -> list[T]:
    """What `work` returns for each block of `step` draws, in their order."""
    draws = range(n_draws)
    blocks = [draws[first : first + step] for first in range(0, n_draws, step)]
    is_one = len(blocks) <= 1  # to find the libraries to limit would take longer
    # A product with so few weights gains nothing from threads of its own.
    limits = nullcontext() if is_one else threadpool_limits(1, user_api="blas")
    found = []
    with limits, ThreadPoolExecutor(cpu_count() or 1) as pool:
        for block, result in zip(blocks, pool.map(work, blocks), strict=True):
            found.append(result)
            advance(len(block))
    return found


def interval(values: FloatArray, level: float, freedom: float | None = None) -> tuple[float, float] | None:
    """Expanded percentile interval from order statistics; resamples in which the value is undefined (NaN) are ignored.

    Args:
        values: shape (n_resamples,).
        level: share of data sets whose interval holds the true value.
        freedom: degrees of freedom, one less than the number of clusters; with 0 there is no interval. None for the
            percentile interval, which is not expanded.

    >>> interval(np.arange(1000.0), 0.95)
    (24.0, 975.0)
    >>> interval(np.arange(1000.0), 0.95, freedom=7)  # Student's t is 2.36, times the root of 8 / 7: beyond 0.57%
    (5.0, 994.0)
    """
    known = np.sort(values[~np.isnan(values)])
    if known.size == 0 or freedom == 0:
        return None
    tail = (1.0 - level) / 2.0
    if freedom is not None:
        tail = expanded_tail(tail, freedom)
    n_cut = max(0, int(np.ceil(tail * known.size - 1e-9)) - 1)
    return float(known[n_cut]), float(known[-1 - n_cut])


def _draw(seed: int, stratum: int, first: int, weights: FloatArray) -> None:
    """Write how often each cluster of a kind is drawn, with replacement, from resample `first` on: one row for each.

    numpy promises never to change the bits of its generators, but not the methods that make numbers from them. The bias
    of this one, size / 2**32, is negligible.
    """
    n_resamples, size = weights.shape
    source = np.random.PCG64(np.random.SeedSequence([seed, stratum]))
    source.advance(first * size)
    step = max(1, CACHE_VALUES // max(1, size))
    for start in range(0, n_resamples if size else 0, step):
        n_rows = min(step, n_resamples - start)
        drawn = np.asarray(source.random_raw(n_rows * size)).reshape(n_rows, size)
        drawn >>= np.uint64(32)
        drawn *= np.uint64(size)
        drawn >>= np.uint64(32)
        drawn += np.arange(0, n_rows * size, size, dtype=np.uint64)[:, None]
        counted = np.bincount(drawn.ravel().view(np.int64), minlength=n_rows * size)
        weights[start : start + n_rows] = counted.reshape(n_rows, size)
