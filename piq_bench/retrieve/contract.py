"""What every engine gets and gives: for each positive, how many other gallery images lie above it and tie with it.

In come similarities, for each query its points (similarities to compare with, by definition) and the gallery images
to leave out; out come two counts per point. Counts add up over blocks of the gallery, so neither a Q x G matrix nor a
sorted gallery is ever needed, and a gallery may be memory-mapped or spread over devices. Whatever a fast product puts
within its proven error bound of a point is decided by the definition, so no block size, thread count, processor or
engine can change a count. Candidates, exclusion, ties and metrics live outside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from piq_bench.records import FloatArray, Int32Array, IntArray
from piq_bench.retrieve.candidates import Ragged
from piq_bench.retrieve.similarity import Similarity


@dataclass(frozen=True, eq=False)
class Counts:
    """Shape (n_points,) each, int32 to be half as large: gallery images above the point, and images equal to it."""

    above: Int32Array
    tied: Int32Array

    @classmethod
    def zero(cls, n_points: int) -> "Counts":
        """Nothing counted yet."""
        return cls(np.zeros(n_points, dtype=np.int32), np.zeros(n_points, dtype=np.int32))


class Engine(Protocol):
    """What counts images around points: `piq_bench.retrieve.plain.count_ranks` or its like."""

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
            similarity: of all test rows.
            queries: shape (n_queries,); test rows.
            gallery: shape (n_gallery,); test rows.
            points: shape (n_points,); similarities by definition, ascending within each query.
            excluded: per query, gallery indices that are not counted.
            point_start: shape (n_queries + 1,); query q has points[point_start[q]:point_start[q + 1]].
            advance: told the number of queries done; over all calls they add up to n_queries.
        """
