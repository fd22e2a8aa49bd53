"""The contract of an engine: for each point of a query, count the gallery images above it and tied with it.

An engine receives for each query its points (numbers that similarities by definition are compared with) and the
gallery images to exclude, and returns two counts per point. Counts add up over blocks of the gallery, so neither a Q
x G matrix nor a sorted gallery is ever needed, and a gallery may be memory-mapped or spread over devices. Where a
fast product lies within its proven error bound of a point, the definition decides, so no block size, thread count,
processor or engine can change a count. Candidates, exclusion, ties and metrics are handled elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from piq_bench.records import FloatArray, Int32Array, IntArray
from piq_bench.retrieve.ragged import Ragged, gather, search_lists
from piq_bench.retrieve.similarity import Similarity

USUAL_DIMENSION = 512


@dataclass(frozen=True, eq=False)
class Counts:
    """Gallery images above each point, and equal to it: shape (n_points,) each, int32 to halve the memory."""

    above: Int32Array
    tied: Int32Array

    @classmethod
    def zero(cls, n_points: int) -> "Counts":
        """Counts before any image is counted."""
        return cls(np.zeros(n_points, dtype=np.int32), np.zeros(n_points, dtype=np.int32))


def count_known(
    points: FloatArray, start: IntArray, query: IntArray, exact: FloatArray, n_images: IntArray | None = None
) -> tuple[Counts, IntArray]:
    """Count, as an engine does, pairs whose similarity is known; also return the points of the queries in those pairs.

    Args:
        points: shape (n_points,); ascending within a query.
        start: shape (n_queries + 1,); where each query's points begin.
        query: shape (n_pairs,); query of each pair.
        exact: shape (n_pairs,); similarity of each pair by definition.
        n_images: shape (n_pairs,); how many images each pair stands for; one if None.
    """
    counted, row = np.unique(query, return_inverse=True)  # few queries have such pairs
    own_start, own = gather(start, counted)
    owner = np.repeat(np.arange(counted.size), np.diff(own_start))
    place = np.arange(own.size) + owner  # a query has one count more than points
    first, last = (search_lists(own_start, points[own], row, exact, side) + row for side in ("left", "right"))
    begun, ended = (np.bincount(at, n_images, own.size + counted.size) for at in (first, last))
    until = np.cumsum(begun)
    above = until[own_start[1:] + np.arange(counted.size)][owner] - until[place]
    tied = np.cumsum(begun - ended)[place]
    return Counts(above.astype(np.int32), tied.astype(np.int32)), own


def wide(n_pairs: int, dimension: int) -> int:
    """As many pairs of USUAL_DIMENSION values as take the time of so many pairs of a larger dimension."""
    return n_pairs * max(dimension, USUAL_DIMENSION) // USUAL_DIMENSION


class Engine(Protocol):
    """A function that counts images around points, such as `piq_bench.retrieve.plain.count_ranks`."""

    def __call__(
        self,
        similarity: Similarity,
        queries: IntArray,
        gallery: IntArray,
        points: FloatArray,
        excluded: Ragged,
        point_start: IntArray,
        *,
        advance: Callable[[int], None],
    ) -> Counts:
        """Count the gallery images above and equal to each point of each query.

        Args:
            similarity: similarities of all test rows.
            queries: shape (n_queries,); test rows of the queries.
            gallery: shape (n_gallery,); test rows of the gallery.
            points: shape (n_points,); what similarities by definition are compared with, ascending within each query.
            excluded: for each query, the gallery indices that are not counted.
            point_start: shape (n_queries + 1,); query q has points[point_start[q]:point_start[q + 1]].
            advance: called with the number of queries finished since the last call; all calls add up to n_queries.
        """
