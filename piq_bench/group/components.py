"""Pairs, as they come, to connected components and to the number of a group: the row of its first image.

Components do not depend on the order of pairs or of images, and neither do numbers given by the first row.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from piq_bench.group.units import Units, near_units
from piq_bench.records import IntArray

PENDING = 1 << 21  # pairs kept before they are merged into components


class Forest:
    """Components of a graph whose edges come in blocks and are not kept."""

    def __init__(self, n_nodes: int) -> None:
        self.labels: IntArray = np.arange(n_nodes, dtype=np.int64)
        self.pending: list[tuple[IntArray, IntArray]] = []
        self.n_pending = 0

    def add(self, first: IntArray, second: IntArray) -> None:
        """Join the nodes of each pair."""
        one, other = self.labels[first], self.labels[second]
        new = np.flatnonzero(one != other)
        if new.size:
            self.pending.append((one[new].astype(np.int32), other[new].astype(np.int32)))
            self.n_pending += new.size
        if self.n_pending > PENDING:
            self.merge()

    def merge(self) -> IntArray:
        """The component of each node, numbered from 0."""
        if self.pending:
            first = np.concatenate([one for one, _ in self.pending])
            second = np.concatenate([other for _, other in self.pending])
            self.pending, self.n_pending = [], 0
            n = len(self.labels)
            edges = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), shape=(n, n))
            self.labels = connected_components(edges, directed=False)[1].astype(np.int64)[self.labels]
        return self.labels


def components(units: Units, threshold: int) -> IntArray:
    """Shape (n_images,): the row of the first image of each image's group."""
    forest = Forest(units.n_units)
    for first, second, _ in near_units(units, threshold):
        forest.add(first, second)
    return first_rows(forest.merge()[units.of_image])


def first_rows(labels: NDArray[np.int64]) -> IntArray:
    """Any numbering of groups to the numbering by first rows.

    >>> first_rows(np.array([7, 2, 7, 2, 5])).tolist()
    [0, 1, 0, 1, 4]
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.int64)
