"""The similarity of two images, by definition, and a bound on how far a fast product may be from it.

The definition is IEEE float64 on the stored values: sums run one by one in index order, each product and each sum
rounded. Cosine: norm = sqrt(sum of squares), each value divided by it, then the sum of products. Euclidean: minus the
sum of squared differences. Two candidates tie if and only if these numbers are equal. Engines may decide most pairs
with a fast product, whose difference from this number stays within `Similarity.error_bound`.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from piq_bench.metrics.sums import ordered_sum
from piq_bench.read.mapped import is_mapped, rows_of
from piq_bench.records import EmbeddingArray, Float32Array, FloatArray, IntArray, Submission

ROUNDING = 2.0**-53  # relative error of one float64 operation
CACHE_VALUES = 1 << 15  # float64 values that stay in a core's cache while a sum runs over the dimensions
BLOCK_VALUES = 1 << 22
PART_VALUES = 1 << 19  # few enough that the memory of their float64 copies is used again, not asked for anew
FEW_PAIRS = 1 << 8  # fewer are summed pair by pair: a sum over the dimensions takes as many steps for them as for more
COMPILE_FROM = 1 << 25  # values; fewer are measured before a compiler has started

HashArray = NDArray[np.uint64]
BitsArray = NDArray[np.uint16] | NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Similarity:
    """The embeddings of a submission and the distance between them. Rows are test rows of the benchmark.

    Attributes:
        embedding: (n_test, dimension) float16 or float32, as stored; may be a memory map.
        order: shape (n_test,); row of `embedding` that belongs to test row i.
        distance: "cosine" or "euclidean".
        norm: shape (n_test,); Euclidean norm of each row, by definition.
        twin: shape (n_test,); the first row with the same bytes. Equal rows have equal similarities, so a submission
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
            ValueError: if the submission has no embedding, or one that reading refuses.
        """
        if submission.embedding is None:
            raise ValueError("the submission has no embedding")
        embedding, order = submission.embedding, submission.order
        norm, hashed = _measure(embedding)
        if not np.isfinite(norm).all() or (submission.distance == "cosine" and not norm.all()):
            raise ValueError("an embedding that was not checked: a value is not finite, or a vector has no direction")
        norm, twin = norm[order], _first_of_equal(hashed[order])
        step = max(1, BLOCK_VALUES // embedding.shape[1])
        repeated = np.flatnonzero(twin != np.arange(order.size))
        for first in range(0, repeated.size, step):  # equal hashes are no proof
            rows = repeated[first : first + step]
            one, other = rows_of(embedding, order[rows]), rows_of(embedding, order[twin[rows]])
            differs = rows[(one != other).any(axis=1)]
            twin[differs] = differs
        return cls(embedding, order, submission.distance, norm, twin)

    @property
    def dimension(self) -> int:
        """Values per embedding."""
        return int(self.embedding.shape[1])

    def vectors(self, rows: IntArray) -> FloatArray:
        """Shape (n_rows, dimension); float64, divided by their norm under cosine."""
        values = np.asarray(rows_of(self.embedding, self.order[rows]).astype(np.float64))
        if self.distance == "cosine":
            values /= self.norm[rows][:, None]
        return values

    def exact_table(self, queries: IntArray, gallery: IntArray) -> FloatArray:
        """Similarities by definition of every query with every gallery row: shape (n_queries, n_gallery)."""
        if queries.size * gallery.size < FEW_PAIRS:
            return self._sums(self.vectors(queries)[:, None], self.vectors(gallery)[None])
        table = np.empty((queries.size, gallery.size))
        step = max(1, CACHE_VALUES // max(1, queries.size))
        one = np.ascontiguousarray(self.vectors(queries).T)[:, :, None]
        for first in range(0, gallery.size, step):
            other = np.ascontiguousarray(self.vectors(gallery[first : first + step]).T)[:, None, :]
            table[:, first : first + step] = self._ordered_sum(zip(one, other, strict=True))
        return table

    def exact_pairs(self, queries: IntArray, gallery: IntArray) -> FloatArray:
        """Similarities by definition of the pairs (queries[i], gallery[i]): shape (n_pairs,)."""
        if queries.size < FEW_PAIRS:
            return self._sums(self.vectors(queries), self.vectors(gallery))
        values = np.empty(queries.size)
        step = max(1, PART_VALUES // self.dimension)

        def work(first: int) -> None:
            part = slice(first, first + step)
            one, of_one = np.unique(queries[part], return_inverse=True)
            other, of_other = np.unique(gallery[part], return_inverse=True)
            values[part] = self._sums(self.vectors(one)[of_one], self.vectors(other)[of_other])

        with ThreadPoolExecutor(cpu_count() or 1) as pool:
            list(pool.map(work, range(0, queries.size, step)))
        return values

    def fast_table(self, one: FloatArray, other: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Similarities of (n, dimension) and (m, dimension) `vectors` up to `error_bound`, by a matrix product."""
        table: FloatArray = np.matmul(one, other.T, out=out)
        if self.distance == "euclidean":
            table *= 2.0
            table -= np.einsum("ij,ij->i", one, one)[:, None]
            table -= np.einsum("ij,ij->i", other, other)[None, :]
        return table

    def error_bound(self, queries: IntArray, gallery: IntArray) -> FloatArray:
        """Shape (n_queries,); largest error of a fast similarity of the query with any of these gallery rows.

        A float64 sum of n products is within n u / (1 - n u) of the true one times the sum of magnitudes, in any order,
        with or without fused multiply-add (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1);
        the definition obeys the same bound, hence the factor 2. Unit vectors: magnitudes sum to 1 (Cauchy-Schwarz).
        Euclidean: with M = |q|^2 + |g|^2 the three sums of the fast form are off by at most 2 n u M, the subtractions
        by 4 u M; the definition, a sum of at most 2 M of rounded squares, by 2 (n + 2) u M. The margin covers the
        (1 - n u) and the rounding of norms and of the comparison itself.
        """
        n_roundings = self.dimension + 8
        if self.distance == "cosine":
            return np.full(queries.size, 2.25 * n_roundings * ROUNDING)
        largest = float(self.norm[gallery].max(initial=0.0))
        return 4.5 * n_roundings * ROUNDING * (self.norm[queries] ** 2 + largest**2)

    def _sums(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """Similarities by definition of vectors along the last axis."""
        if self.distance == "cosine":
            return ordered_sum(one * other, overwrite=True)
        difference = one - other
        difference *= difference
        return np.asarray(-ordered_sum(difference, overwrite=True))

    def _ordered_sum(self, factors: Iterable[tuple[FloatArray, FloatArray]]) -> FloatArray:
        """What `_sums` returns, from the values of one dimension after another, of more pairs than `_sums` can hold."""
        total: FloatArray | None = None
        term: FloatArray | None = None
        for one, other in factors:
            if self.distance == "cosine":
                term = np.multiply(one, other, out=term)
            else:
                term = np.subtract(one, other, out=term)
                np.multiply(term, term, out=term)
            total = term.copy() if total is None else np.add(total, term, out=total)
        if total is None:
            raise ValueError("vectors of no dimension")
        return total if self.distance == "cosine" else np.asarray(np.negative(total))


def _measure(embedding: EmbeddingArray) -> tuple[FloatArray, HashArray]:
    """Norms by definition, and hashes of the stored bits: sums modulo 2**64, which are the same in any order."""
    norm = np.empty(embedding.shape[0])
    hashed = np.empty(embedding.shape[0], dtype=np.uint64)
    multiplier = np.asarray(np.random.PCG64(0).random_raw(embedding.shape[1]), dtype=np.uint64) | np.uint64(1)
    measure = _measure_block
    if embedding.size >= COMPILE_FROM:
        from piq_bench.retrieve.kernel import measure_rows  # the compiler is slow to start

        measure = measure_rows

    n_threads = cpu_count() or 1
    step = max(1, min(-(-embedding.shape[0] // n_threads), PART_VALUES // max(1, embedding.shape[1])))

    def work(first: int) -> None:
        part = slice(first, first + step)
        stored = np.ascontiguousarray(rows_of(embedding, part) if is_mapped(embedding) else embedding[part])
        bits: BitsArray = stored.view(np.uint16) if stored.itemsize == 2 else stored.view(np.uint32)
        measure(stored.astype(np.float32, copy=False), bits, multiplier, norm[part], hashed[part])

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, range(0, embedding.shape[0], step)))
    return norm, hashed


def _measure_block(
    vectors: Float32Array, bits: BitsArray, multiplier: HashArray, norm: FloatArray, hashed: HashArray
) -> None:
    """Write the norm and the hash of each row, shape (n_rows,) each."""
    values = vectors.astype(np.float64)
    values *= values
    norm[:] = np.sqrt(ordered_sum(values, overwrite=True))
    hashed[:] = bits.astype(np.uint64) @ multiplier


def _first_of_equal(values: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> IntArray:
    """For each value, the first index that holds an equal value."""
    ordered = np.sort(values)
    if not (ordered[1:] == ordered[:-1]).any():  # the usual case, found in a third of the time of what follows
        return np.arange(values.size)
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)
