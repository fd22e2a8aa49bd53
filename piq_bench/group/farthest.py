"""The farthest two pictures of a group: the true maximum over all pairs, not the longest link of a chain."""

from dataclasses import dataclass

import numpy as np

from piq_bench.group.pairs import Hashes
from piq_bench.group.phash import popcount

ROWS, COLUMNS = 64, 4096  # compared at once: 2 MiB of differences
MOST_COMPARISONS = 20_000_000_000  # about half a minute; beyond it a lower bound is given, and said to be one


@dataclass(frozen=True)
class Farthest:
    """A distance, and whether it is the maximum or only known to be reached."""

    distance: int
    exact: bool


class GrowingGroup:
    """Farthest pairs of groups that mostly contain the one before, as when a threshold rises."""

    def __init__(self, most_comparisons: int = MOST_COMPARISONS) -> None:
        self.hashes: Hashes = np.empty(0, dtype=np.uint64)
        self.farthest = Farthest(0, exact=True)
        self.most_comparisons = most_comparisons

    def of(self, hashes: Hashes) -> Farthest:
        """The farthest two of these distinct hashes, in any order."""
        hashes = np.sort(hashes)
        known = np.isin(hashes, self.hashes, assume_unique=True)
        if known.sum() < len(self.hashes):  # another group: nothing of what was found is of use
            known[:] = False
            self.farthest = Farthest(0, exact=True)
        new = hashes[~known]
        allowed = max(1, self.most_comparisons // max(1, len(hashes)))
        distance = max(self.farthest.distance, greatest_distance(new[:allowed], hashes))
        self.hashes, self.farthest = hashes, Farthest(distance, self.farthest.exact and len(new) <= allowed)
        return self.farthest


def greatest_distance(some: Hashes, others: Hashes) -> int:
    """The greatest distance between one of the first and one of the second; 0 if there is none."""
    greatest = 0
    for top in range(0, len(some), ROWS):
        for left in range(0, len(others), COLUMNS):
            distance = popcount(some[top : top + ROWS, None] ^ others[left : left + COLUMNS])
            greatest = max(greatest, int(distance.max()))
    return greatest
