"""The randomisation tests of PIQ between all pairs of many submissions, for leaderboards.

The p-values are those that `compare` gives the metric "piq"; `compare` tests every other metric too and computes
intervals. Here the answers that a submission gives away in each swap are summed once, not once for each of its pairs.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from piq_bench.metrics.labels import macro_f1
from piq_bench.records import Benchmark, BoolArray, FloatArray
from piq_bench.scoring.bootstrap import clusters_of
from piq_bench.scoring.compare import Tallied
from piq_bench.scoring.inversion import RETRIEVAL_METRICS, SAME
from piq_bench.scoring.swaps import over_swaps
from piq_bench.scoring.tally import piq_estimates


def piq_p_values(
    benchmark: Benchmark, systems: Sequence[Tallied], *, n_swaps: int, seed: int = 0
) -> dict[tuple[int, int], float]:
    """P-value of the difference in PIQ of every pair of submissions, before any correction.

    Args:
        benchmark: benchmark on which all of them were counted.
        systems: submissions with every task, so that each has a PIQ.
        n_swaps: number of swaps of the randomisation test.
        seed: seed of the swaps.

    Returns:
        The p-value by the places of the two submissions, the first before the second.
    """
    clusters = clusters_of(benchmark)
    columns = [_columns(system, clusters.total) for system in systems]
    totals = [one.sum(axis=0, keepdims=True) for one in columns]
    observed = [float(_piq(benchmark, *each)[0]) for each in zip(systems, totals, strict=True)]
    pairs = list(combinations(range(len(systems)), 2))
    if not pairs:
        return {}

    def count(swapped: BoolArray) -> list[int]:
        """For each pair, how many swaps make as large a difference as the observed one."""
        given = [swapped.astype(np.float64) @ one for one in columns]
        n_as_large = []
        for first, second in pairs:
            one = _piq(benchmark, systems[first], totals[first] - given[first] + given[second])
            other = _piq(benchmark, systems[second], totals[second] - given[second] + given[first])
            difference = abs(observed[second] - observed[first])
            n_as_large.append(int((np.abs(other - one) >= difference - SAME).sum()))
        return n_as_large

    n_as_large = np.sum(over_swaps(count, clusters, n_swaps, seed), axis=0).tolist()
    return {pair: (1 + n) / (1 + n_swaps) for pair, n in zip(pairs, n_as_large, strict=True)}


def _columns(system: Tallied, n_clusters: int) -> FloatArray:
    """What each cluster adds to the numbers that PIQ is made of, shape (n_clusters, n_columns).

    First the re-id metrics, as each person's share of the mean over people; then of each task the hits, predicted and
    true labels.
    """
    parts = [np.empty((n_clusters, 0))]
    if system.reid is not None:
        has_query = system.reid.n_queries > 0
        for name in RETRIEVAL_METRICS:
            column = np.zeros((n_clusters, 1))
            mean = system.reid.total[name][has_query] / system.reid.n_queries[has_query] / has_query.sum()
            column[: has_query.size][has_query, 0] = mean
            parts.append(column)
    parts += [part for tally in system.labels.values() for part in (tally.hits, tally.predicted, tally.true)]
    return np.concatenate(parts, axis=1)


def _piq(benchmark: Benchmark, system: Tallied, sums: FloatArray) -> FloatArray:
    """PIQ for each row of sums of `_columns`; of the submission only the shapes of its tallies are used."""
    place = len(RETRIEVAL_METRICS) if system.reid is not None else 0
    reid = {f"macro_{name}": sums[:, number] for number, name in enumerate(RETRIEVAL_METRICS[:place])}
    f1: dict[str, FloatArray] = {}
    for task, tally in system.labels.items():
        n_labels = tally.true.shape[1]
        hits, predicted, true = np.split(sums[:, place : place + 3 * n_labels], 3, axis=1)
        f1[task] = macro_f1(hits, predicted, true)
        place += 3 * n_labels
    _, piq = piq_estimates(benchmark, reid, f1)
    if piq is None:
        raise ValueError("a submission without PIQ cannot be ranked by it")
    return piq
