"""Finds a group's farthest two images: the greatest distance of all its pairs, not the longest link of a chain."""

from dataclasses import dataclass

import numpy as np

from piq_bench.group.pairs import Hashes
from piq_bench.group.phash import popcount

ROWS, COLUMNS = 64, 4096  # hashes compared at once: 2 MiB of differences
MOST_COMPARISONS = 20_000_000_000  # about half a minute; beyond it the distance is a lower bound, marked as such


@dataclass(frozen=True)
class FarthestPair:
    """The distance of a group's farthest two images; only a lower bound unless `exact`."""

    distance: int
    exact: bool


class GrowingGroup:
    """Finds the farthest pair of each of several groups, faster where a group contains the one before it.

    The largest groups at rising thresholds usually contain each other.

    Args:
        most_comparisons: comparisons per group, beyond which the distance is a lower bound.
    """

    def __init__(self, most_comparisons: int = MOST_COMPARISONS) -> None:
        self.hashes: Hashes = np.empty(0, dtype=np.uint64)
        self.farthest = FarthestPair(0, exact=True)
        self.most_comparisons = most_comparisons

    def farthest_pair(self, hashes: Hashes) -> FarthestPair:
        """The farthest two of distinct hashes, given in any order."""
        hashes = np.sort(hashes)
        known = np.isin(hashes, self.hashes, assume_unique=True)
        if known.sum() < len(self.hashes):  # not a superset of the group before: start anew
            known[:] = False
            self.farthest = FarthestPair(0, exact=True)
        new = hashes[~known]
        allowed = max(1, self.most_comparisons // max(1, len(hashes)))
        distance = max(self.farthest.distance, greatest_distance(new[:allowed], hashes))
        self.hashes, self.farthest = hashes, FarthestPair(distance, self.farthest.exact and len(new) <= allowed)
        return self.farthest


def greatest_distance(some: Hashes, others: Hashes) -> int:
    """The greatest distance between a hash of `some` and a hash of `others`; 0 if either is empty."""
    greatest = 0
    for top in range(0, len(some), ROWS):
        for left in range(0, len(others), COLUMNS):
            distance = popcount(some[top : top + ROWS, None] ^ others[left : left + COLUMNS])
            greatest = max(greatest, int(distance.max()))
    return greatest
