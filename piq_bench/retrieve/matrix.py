"""Ranks by a submitted matrix: its stored values are the similarity, or minus it, and decide ties exactly.

No engine is needed, since there is nothing to multiply. The matrix is read once, in blocks of rows, in the order in
which it is stored: it may be larger than memory.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np

from piq_bench.read.mapped import rows_of
from piq_bench.records import Float32Array, FloatArray, IntArray, PairMatrix, Submission
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.similarity import Similarity

BLOCK_BYTES = 4 << 20  # of float32 values, per thread
NOTHING = -np.inf  # below every similarity: stored values are finite


@dataclass(frozen=True, eq=False)
class MatrixSimilarity:
    """The similarities of a submission without an embedding. Rows are test rows, as in `Similarity`."""

    matrix: PairMatrix

    def rows(self, queries: IntArray) -> Float32Array:
        """Similarities of some queries with every column, in the order of the file: shape (n_queries, n_columns)."""
        with np.errstate(over="ignore"):
            values: Float32Array = rows_of(self.matrix.values, self.matrix.row[queries]).astype(np.float32, copy=False)
        return np.negative(values, out=values) if self.matrix.is_distance else values

    def exact_pairs(self, queries: IntArray, gallery: IntArray) -> FloatArray:
        """Similarities of the pairs (queries[i], gallery[i]): shape (n_pairs,)."""
        values = np.empty(queries.size)
        column = self.matrix.column[gallery]
        for query in np.unique(queries):  # a row is read once
            own = np.flatnonzero(queries == query)
            values[own] = self.rows(np.array([query]))[0, column[own]]
        return values

    def first(self, query: int, gallery: IntArray, excluded: IntArray, k: int) -> IntArray:
        """Gallery indices of the k candidates that are most similar to a query, and of all that tie with the last.

        Args:
            query: test row of the query.
            gallery: shape (n_gallery,); test rows of the gallery.
            excluded: gallery indices that are no candidates.
            k: number of candidates, at least 1.
        """
        values = self.rows(np.array([query]))[0, self.matrix.column[gallery]]
        values[excluded] = NOTHING
        if k >= values.size:
            return np.flatnonzero(values > NOTHING)
        limit = np.partition(values, values.size - k)[values.size - k]
        return np.flatnonzero((values >= limit) & (values > NOTHING))


def similarity_of(submission: Submission) -> Similarity | MatrixSimilarity:
    """What a submission ranks by.

    Raises:
        ValueError: if it has neither an embedding nor a matrix.
    """
    return Similarity.of(submission) if submission.matrix is None else MatrixSimilarity(submission.matrix)


def read_ranks(
    similarity: MatrixSimilarity,
    queries: IntArray,
    gallery: IntArray,
    positives: Ragged,
    others: Ragged,
    excluded: Ragged,
    *,
    block_bytes: int = BLOCK_BYTES,
    threads: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> tuple[FloatArray, FloatArray, Counts]:
    """Similarities of some lists of images, and counts around the positives as an engine makes them, in one reading.

    Args:
        similarity: the matrix.
        queries: shape (n_queries,); test rows of the queries.
        gallery: shape (n_gallery,); test rows of the gallery.
        positives: for each query, the gallery indices around which is counted.
        others: for each query, further gallery indices whose similarities are wanted.
        excluded: for each query, the gallery indices that are not counted.
        block_bytes: size of the rows read at a time by each thread.
        threads: number of threads; one per core if None.
        advance: called with the number of queries finished since the last call.

    Returns:
        The similarities of `positives.values` and of `others.values`; and counts around each query's positives, which
        are sorted by similarity, ascending.
    """
    exact, other_exact = np.empty(positives.values.size), np.empty(others.values.size)
    counts = Counts.zero(positives.values.size)
    column = similarity.matrix.column[gallery]
    is_outside = np.ones(similarity.matrix.values.shape[1], dtype=bool)  # junk, which is in no gallery
    is_outside[column] = False
    outside = np.flatnonzero(is_outside)

    def read(block: IntArray) -> int:
        for query, row in zip(block.tolist(), similarity.rows(queries[block]), strict=True):
            own = slice(positives.start[query], positives.start[query + 1])
            further = slice(others.start[query], others.start[query + 1])
            values = row[column[positives.values[own]]]
            exact[own], other_exact[further] = values, row[column[others.values[further]]]
            if values.size:
                values.sort()
                row[outside] = row[column[excluded[query]]] = NOTHING
                row.sort()  # in the cache; looking up each value among the positives takes ten times as long
                last = np.searchsorted(row, values, "right")
                counts.above[own] = row.size - last
                counts.tied[own] = last - np.searchsorted(row, values, "left")
        return block.size

    stored = np.argsort(similarity.matrix.row[queries], kind="stable")
    step = max(1, block_bytes // max(1, 4 * is_outside.size))
    with ThreadPoolExecutor(threads or cpu_count() or 1) as pool:
        for n_done in pool.map(read, (stored[first : first + step] for first in range(0, stored.size, step))):
            advance(n_done)
    return exact, other_exact, counts
