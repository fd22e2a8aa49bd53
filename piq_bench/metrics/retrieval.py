"""Pure functions of one query's ranking: average precision, CMC and INP, with ties scored by their expectation.

A ranking is given by its runs of equal similarity that hold a positive, most similar first. Images between those
runs matter only through their number, so a gallery of any size takes a few numbers per positive. Every function
returns the mean over all orders of the tied images, in closed form: McSherry and Najork, Computing Information
Retrieval Performance Measures Efficiently in the Presence of Tied Scores, ECIR 2008.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from piq_bench.records import BoolArray, FloatArray, IntArray
from piq_bench.sums import ordered_sum


@dataclass(frozen=True, eq=False)
class Ranking:
    """One query's candidates, ranked.

    Attributes:
        n_positives: shape (n_runs,); positives in each run of equal similarity that holds one, at least 1.
        n_images: shape (n_runs,); candidates in the run, positives included.
        n_above: shape (n_runs,); candidates more similar than the run, positives included.
    """

    n_positives: IntArray
    n_images: IntArray
    n_above: IntArray

    def __post_init__(self) -> None:
        if self.n_positives.size == 0:
            raise ValueError("no positive among the candidates: retrieval metrics are undefined")


def average_precision(ranking: Ranking) -> float:
    """Non-interpolated average precision of one query; in (0, 1], higher is better.

    The mean over positives of (positives at or above its rank) / (its rank).

    >>> average_precision(Ranking(np.array([1, 1]), np.array([1, 2]), np.array([0, 1])))  # (1 + (2/2 + 2/3) / 2) / 2
    0.9166666666666666
    """
    return _mean_over_positives(ranking, lambda found, rank: (found + 1.0) / rank)


def average_precision_market1501(ranking: Ranking) -> float:
    """Trapezoidal average precision, as in the code published with Market-1501; for comparison with its users only.

    The mean over positives of the mean precision at its rank and at the rank before it; before rank 1 it is 1.
    Zheng et al., Scalable Person Re-identification: A Benchmark, ICCV 2015.

    >>> average_precision_market1501(Ranking(np.array([1, 1]), np.array([1, 1]), np.array([0, 2])))  # hits 1 0 1
    0.7916666666666666
    """

    def trapezoid(found: FloatArray, rank: FloatArray) -> FloatArray:
        before = np.where(rank > 1.0, found / np.maximum(rank - 1.0, 1.0), 1.0)
        return (before + (found + 1.0) / rank) / 2.0

    return _mean_over_positives(ranking, trapezoid)


def cumulative_match(ranking: Ranking, rank: int) -> float:
    """CMC at `rank`: the probability that a positive is among the first `rank` images; in [0, 1], higher is better.

    >>> cumulative_match(Ranking(np.array([1]), np.array([4]), np.array([0])), 1)  # one of four equals
    0.25
    """
    n_positives, n_images, n_above = (int(x[0]) for x in (ranking.n_positives, ranking.n_images, ranking.n_above))
    n_drawn = rank - n_above  # places of the first run that lie within the rank
    if n_drawn <= 0:
        return 0.0
    if n_drawn > n_images - n_positives:
        return 1.0
    missed, possible = 1, 1
    for place in range(n_drawn):  # drawing without replacement, in whole numbers
        missed *= n_images - n_positives - place
        possible *= n_images - place
    return (possible - missed) / possible


def inverse_negative_penalty(ranking: Ranking) -> float:
    """INP: number of positives / rank of the last one; in (0, 1], higher is better.

    Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI 2021.

    >>> inverse_negative_penalty(Ranking(np.array([1]), np.array([2]), np.array([0])))  # (1/1 + 1/2) / 2
    0.75
    """
    n_positives, n_images, n_above = (int(x[-1]) for x in (ranking.n_positives, ranking.n_images, ranking.n_above))
    total = float(ranking.n_positives.sum())
    if n_images == n_positives:
        return total / (n_above + n_images)
    # The last positive is at place j of the run with chance C(j-1, r-1) / C(t, r); from place t upwards each chance
    # follows from the one below it.
    place = np.arange(n_images, n_positives - 1, -1, dtype=np.float64)
    step = np.empty_like(place)
    step[0] = n_positives / n_images
    step[1:] = (place[:-1] - n_positives) / (place[:-1] - 1.0)
    chance = np.multiply.accumulate(step)
    return float(ordered_sum(chance * (total / (n_above + place))))


def chance_average_precision(n_positives: int, n_images: int) -> float:
    """Expected average precision of a random order: all candidates tied.

    >>> chance_average_precision(1, 2)  # (1/1 + 1/2) / 2
    0.75
    """
    return average_precision(Ranking(np.array([n_positives]), np.array([n_images]), np.array([0])))


CMC_RANKS = (1, 5, 10)
AVERAGE_PRECISIONS: dict[str, Callable[[Ranking], float]] = {
    "non-interpolated": average_precision,
    "market1501": average_precision_market1501,
}


def metrics_of(ap: str) -> dict[str, Callable[[Ranking], float]]:
    """The reported metrics by name, under one convention of average precision: a new metric is one line here.

    Raises:
        KeyError: if the convention is unknown.
    """

    def at(rank: int) -> Callable[[Ranking], float]:
        return lambda ranking: cumulative_match(ranking, rank)

    return {
        "map": AVERAGE_PRECISIONS[ap],
        **{f"rank{rank}": at(rank) for rank in CMC_RANKS},
        "minp": inverse_negative_penalty,
    }


def _mean_over_positives(ranking: Ranking, value: Callable[[FloatArray, FloatArray], FloatArray]) -> float:
    """Mean over positives of `value(positives above it, its rank)`, which must be linear in the positives above."""
    n_found = np.cumsum(ranking.n_positives) - ranking.n_positives  # positives in earlier runs
    alone: BoolArray = ranking.n_images == 1
    total = np.zeros(ranking.n_images.size)
    total[alone] = value(n_found[alone].astype(np.float64), (ranking.n_above[alone] + 1).astype(np.float64))
    for run in np.flatnonzero(~alone):
        n_positives, n_images = int(ranking.n_positives[run]), int(ranking.n_images[run])
        place = np.arange(n_images, dtype=np.float64)  # images above, inside the run
        inside = place * ((n_positives - 1) / (n_images - 1))  # expected positives among them
        terms = value(float(n_found[run]) + inside, float(ranking.n_above[run] + 1) + place)
        total[run] = float(ordered_sum(terms)) * (n_positives / n_images)
    return float(ordered_sum(total)) / int(ranking.n_positives.sum())
