"""The similarity of two images, by definition, and a bound on how far a fast product may be from it.

The definition is IEEE float64 on the stored values: sums run one by one in index order, each product and each sum
rounded. Cosine: norm = sqrt(sum of squares), each value divided by it, then the sum of products. Euclidean: minus the
sum of squared differences. Two candidates tie if and only if these numbers are equal. Engines may sort out the bulk
with a fast product, whose difference from this number stays within `Similarity.error_bound`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from piq_bench.records import EmbeddingArray, FloatArray, IntArray, Submission
from piq_bench.sums import ordered_sum

ROUNDING = 2.0**-53  # of one float64 operation
CACHE_VALUES = 1 << 15  # float64 values that stay in a core's cache while a sum runs over the dimensions
BLOCK_VALUES = 1 << 22


@dataclass(frozen=True, eq=False)
class Similarity:
    """The embeddings of a submission and the distance they are compared by. Rows are test rows of the benchmark.

    Attributes:
        embedding: (n_test, dimension) float16 or float32, as stored; may be a memory map.
        order: shape (n_test,); row of `embedding` that belongs to test row i.
        distance: "cosine" or "euclidean".
        norm: shape (n_test,); Euclidean norm of each row, by definition.
        twin: shape (n_test,); the first row with the same bytes: equal rows have equal similarities, so a submission
            of few distinct rows need not be decided pair by pair.
    """

    embedding: EmbeddingArray
    order: IntArray
    distance: Literal["cosine", "euclidean"]
    norm: FloatArray
    twin: IntArray

    @classmethod
    def of(cls, submission: Submission) -> "Similarity":
        """Take a submission's embeddings and measure their norms, block by block.

        Raises:
            ValueError: if the submission has no embedding.
        """
        if submission.embedding is None:
            raise ValueError("the submission has no embedding")
        embedding, order = submission.embedding, submission.order
        n_test, dimension = order.size, embedding.shape[1]
        norm = np.empty(n_test)
        hashed = np.empty(n_test, dtype=np.uint64)
        multiplier = np.random.PCG64(0).random_raw(dimension) | np.uint64(1)
        step = max(1, BLOCK_VALUES // dimension)
        for first in range(0, n_test, step):
            part = slice(first, first + step)
            stored = np.ascontiguousarray(embedding[order[part]])
            values = stored.astype(np.float64)
            norm[part] = np.sqrt(ordered_sum(values * values))
            bits = stored.view(np.uint16 if stored.itemsize == 2 else np.uint32).astype(np.uint64)
            hashed[part] = (bits * multiplier).sum(axis=1)  # whole numbers modulo 2**64: any order, one result
        twin = _first_of_equal(hashed)
        for first in range(0, n_test, step):  # equal hashes are no proof
            rows = np.arange(first, min(first + step, n_test))
            rows = rows[twin[rows] != rows]
            differs = (embedding[order[rows]] != embedding[order[twin[rows]]]).any(axis=1)
            twin[rows[differs]] = rows[differs]
        return cls(embedding, order, submission.distance, norm, twin)

    @property
    def dimension(self) -> int:
        """Values per embedding."""
        return int(self.embedding.shape[1])

    def vectors(self, rows: IntArray) -> FloatArray:
        """Shape (n_rows, dimension); float64, divided by their norm under cosine."""
        values = np.asarray(self.embedding[self.order[rows]].astype(np.float64))
        if self.distance == "cosine":
            values /= self.norm[rows][:, None]
        return values

    def exact_table(self, queries: IntArray, gallery: IntArray) -> FloatArray:
        """The definition for every query with every gallery row: shape (n_queries, n_gallery)."""
        table = np.empty((queries.size, gallery.size))
        step = max(1, CACHE_VALUES // max(1, queries.size))
        one = np.ascontiguousarray(self.vectors(queries).T)[:, :, None]
        for first in range(0, gallery.size, step):
            other = np.ascontiguousarray(self.vectors(gallery[first : first + step]).T)[:, None, :]
            table[:, first : first + step] = self._ordered_table(one, other)
        return table

    def exact_pairs(self, queries: IntArray, gallery: IntArray) -> FloatArray:
        """The definition for the pairs (queries[i], gallery[i]): shape (n_pairs,)."""
        values = np.empty(queries.size)
        step = max(1, BLOCK_VALUES // self.dimension)
        for first in range(0, queries.size, step):
            part = slice(first, first + step)
            one, other = self.vectors(queries[part]), self.vectors(gallery[part])
            if self.distance == "cosine":
                values[part] = ordered_sum(one * other)
            else:
                difference = one - other
                values[part] = -ordered_sum(difference * difference)
        return values

    def fast_table(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """The same numbers for (n, dimension) and (m, dimension) `vectors`, but for `error_bound`: a matrix product."""
        table: FloatArray = one @ other.T
        if self.distance == "euclidean":
            table *= 2.0
            table -= np.einsum("ij,ij->i", one, one)[:, None]
            table -= np.einsum("ij,ij->i", other, other)[None, :]
        return table

    def error_bound(self, queries: IntArray, gallery: IntArray) -> FloatArray:
        """Shape (n_queries,); no fast number of the query with these gallery rows is further from the exact one.

        A float64 sum of n products is within n u / (1 - n u) of the true one times the sum of magnitudes, in any order,
        with or without fused multiply-add (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1);
        the exact number obeys the same bound, hence the factor 2. Unit vectors: magnitudes sum to 1 (Cauchy-Schwarz).
        Euclidean: with M = |q|^2 + |g|^2 the three sums of the fast form are off by at most 2 n u M, the subtractions
        by 4 u M; the exact form, a sum of at most 2 M of rounded squares, by 2 (n + 2) u M. The margin covers the
        (1 - n u), the rounding of norms and of the comparison itself.
        """
        n_roundings = self.dimension + 8
        if self.distance == "cosine":
            return np.full(queries.size, 2.25 * n_roundings * ROUNDING)
        largest = float(self.norm[gallery].max(initial=0.0))
        return 4.5 * n_roundings * ROUNDING * (self.norm[queries] ** 2 + largest**2)

    def _ordered_table(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """`ordered_sum` over the first axis of what would be too large to hold: products or squared differences."""
        if self.distance == "cosine":
            total: FloatArray = np.multiply(one[0], other[0])
            term: FloatArray = np.empty_like(total)
            for index in range(1, one.shape[0]):
                np.multiply(one[index], other[index], out=term)
                total += term
            return total
        term = np.subtract(one[0], other[0])
        total = np.multiply(term, term)
        for index in range(1, one.shape[0]):
            np.subtract(one[index], other[index], out=term)
            np.multiply(term, term, out=term)
            total += term
        return np.asarray(np.negative(total))


def _first_of_equal(values: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> IntArray:
    """For each value the first index that holds an equal one."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)
