"""Turns the randomisation test of a difference into an interval: all differences that the test would not refuse.

Takes the differences after random swaps of two submissions' answers, as `compare` computes them. To test a difference d
instead of 0, d is taken from the second submission's part of every person, and the same swaps are looked at again. Of a
difference that all people share, a swap keeps the share of people that it leaves alone, minus the share that it swaps;
so every swap has a lowest and a highest d that it supports, and no swap has to be computed twice.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from piq_bench.records import Benchmark, BoolArray, FloatArray
from piq_bench.scoring.records import Interval
from piq_bench.scoring.tally import LabelTally, ReidTally, piq_estimates

ALPHA = 0.05  # p-values below it are significant; the interval holds all differences that are not
RETRIEVAL_METRICS = ("rank1", "map")
SAME = 1e-12  # differences closer than this are equal: sums of the same values in another order


class KeptShares:
    """What swaps leave of a difference that is the same for every cluster.

    People count alike in re-id, and by their annotated labels in a classification task.

    Args:
        benchmark: the benchmark, whose aspects are used.
        reid: tally of either submission; None unless both have re-id.
        labels: tallies of either submission, of the tasks that both have.
    """

    def __init__(self, benchmark: Benchmark, reid: ReidTally | None, labels: Mapping[str, LabelTally]) -> None:
        self._benchmark = benchmark
        self._asked = None if reid is None else np.flatnonzero(reid.n_queries)
        self._tasks = tuple(labels)
        self._n_all = np.array([tally.true.sum() for tally in labels.values()])

    def of(self, swapped: BoolArray, n_swapped: FloatArray) -> dict[str, FloatArray]:
        """By metric, shape (n_swaps,): from -1 to 1.

        Args:
            swapped: shape (n_swaps, n_clusters); whether the two submissions swap their answers.
            n_swapped: shape (n_swaps, n_tasks); annotated labels of the clusters that swap them.
        """
        means: dict[str, FloatArray] = {}
        if self._asked is not None:
            n_people = np.count_nonzero(swapped[:, self._asked], axis=1)
            kept = (self._asked.size - 2.0 * n_people) / max(1, self._asked.size)
            means = {f"macro_{name}": kept for name in RETRIEVAL_METRICS}
        shares = (self._n_all - 2.0 * n_swapped) / np.maximum(1.0, self._n_all)
        f1 = dict(zip(self._tasks, shares.T, strict=True))
        aspects, piq = piq_estimates(self._benchmark, means, f1)
        found: dict[str, FloatArray | None] = {"piq": piq} | {f"aspects.{name}": kept for name, kept in aspects.items()}
        found |= {f"reid.{name}": kept for name, kept in means.items()}
        found |= {f"f1.{name}": kept for name, kept in f1.items()}
        return {name: kept for name, kept in found.items() if kept is not None}


def furthest(observed: float, swapped: FloatArray, kept: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each swap, the lowest and highest tested difference that it supports; infinite where it supports all.

    A swap supports the difference d if what it makes of the data without d is at least as large as what was observed
    without d: |swapped - kept d| >= |observed - d|. Since |kept| <= 1, it then supports all d closer to `observed`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        roots = np.stack([(observed + swapped) / (1.0 + kept), (observed - swapped) / (1.0 - kept)])
    free = np.stack([1.0 + kept, 1.0 - kept]) <= SAME  # the swap of all or of none changes no difference
    low = np.where(free, -np.inf, roots).min(axis=0)
    high = np.where(free, np.inf, roots).max(axis=0)
    return low, high


def not_refused(ends: Sequence[tuple[FloatArray, FloatArray]], p: float) -> Interval:
    """The differences whose p-value is at least ALPHA, within -1 and 1; holds 0 if and only if that of 0 is `p`.

    Args:
        ends: blocks of what `furthest` returns.
        p: p-value of no difference. It decides about 0 where rounding hides on which side of an end 0 lies.
    """
    low, high = (np.sort(np.concatenate(blocks)) for blocks in zip(*ends, strict=True))
    n_swaps = low.size
    n_refused = int((np.arange(1, n_swaps + 2) / (1 + n_swaps) < ALPHA).sum())  # fewer swaps than this refuse
    if n_refused == 0:
        return -1.0, 1.0
    lowest, highest = max(-1.0, float(low[n_refused - 1])), min(1.0, float(high[-n_refused]))
    if p >= ALPHA:
        return min(lowest, 0.0), max(highest, 0.0)
    if lowest <= 0.0 <= highest:
        return (SAME, highest) if -lowest < highest else (lowest, -SAME)
    return lowest, highest
