"""Joins near-duplicates into groups: the connected components of the near-duplicate graph.

A group's number is the row of its first image. Groups and numbers do not depend on the order in which pairs are found.
"""

import numpy as np
from numpy.typing import NDArray

from piq_bench.group.nodes import FindPairs, Nodes, near_nodes
from piq_bench.group.pairs import near_pairs
from piq_bench.records import IntArray

PENDING = 1 << 21  # pairs collected before they are merged into components


class Forest:
    """Connected components of a graph whose edges are added in blocks and not kept."""

    def __init__(self, n_nodes: int) -> None:
        self.labels: IntArray = np.arange(n_nodes, dtype=np.int64)
        self.pending: list[tuple[IntArray, IntArray]] = []
        self.n_pending = 0

    def add(self, first: IntArray, second: IntArray) -> None:
        """Joins the two nodes of each pair."""
        left, right = self.labels[first], self.labels[second]
        new = np.flatnonzero(left != right)
        if new.size:
            self.pending.append((left[new].astype(np.int32), right[new].astype(np.int32)))
            self.n_pending += new.size
        if self.n_pending > PENDING:
            self.merge()

    def merge(self) -> IntArray:
        """The component of each node, numbered from 0."""
        if self.pending:
            from scipy.sparse import coo_array  # only here: reading stored groups should not wait for scipy
            from scipy.sparse.csgraph import connected_components

            first = np.concatenate([left for left, _ in self.pending])
            second = np.concatenate([right for _, right in self.pending])
            self.pending, self.n_pending = [], 0
            n = len(self.labels)
            edges = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), shape=(n, n))
            self.labels = connected_components(edges, directed=False)[1].astype(np.int64)[self.labels]
        return self.labels


def components(nodes: Nodes, threshold: int, find_pairs: FindPairs = near_pairs) -> IntArray:
    """Shape (n_images,): the row of the first image of each image's group."""
    forest = Forest(nodes.n_nodes)
    for first, second, _ in near_nodes(nodes, threshold, find_pairs):
        forest.add(first, second)
    return first_rows(forest.merge()[nodes.of_image])


def first_rows(labels: NDArray[np.int64]) -> IntArray:
    """Renumbers groups by the row of their first member.

    >>> first_rows(np.array([7, 2, 7, 2, 5])).tolist()
    [0, 1, 0, 1, 4]
    """
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)].astype(np.int64)
