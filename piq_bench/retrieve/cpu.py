"""The CPU engine: float32 products block by block, counted by a compiled kernel; float64 decides near a point.

It follows `retrieve.contract`. Every core takes blocks of the gallery in turn, multiplies each with all queries by its
own single-threaded BLAS call, and counts while the products are still in its cache; no core waits for another. The
gallery is read once, in the order in which it is stored, so it may be memory-mapped.

The error of a float32 product of n terms is at most (n + 1) 2**-24 times both norms (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 3.1). In practice it grows like the root of n and is smaller for small products,
and each value within the bound costs a float64 product. So a smaller bound is tried first and guarded: errors are
measured on a sample of all products and on all that were computed again in float64. If the largest of them exceeds half
of the smaller bound, everything is counted again with the proven one.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from os import cpu_count
from queue import SimpleQueue

import numpy as np
from threadpoolctl import threadpool_limits

from piq_bench.records import Float32Array, FloatArray, Int32Array, IntArray
from piq_bench.retrieve import kernel, plain, warm
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.definition import column_buffer, images_of, stored_vectors
from piq_bench.retrieve.products import ROUNDING, Bound, Factors, Multiplier, fastest
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.similarity import Similarity

ENGINE = "cpu (numba)"
QUERY_BLOCK = 1024
GALLERY_BLOCK = 6144
BLOCK_VALUES = 3 << 20  # values of a gallery block: it fits into the last-level cache, and powers of 2 are slow
SMALLEST_BLOCK = 256
PARTS = 16  # of the queries for each thread, where they are prepared and where their counts are added up
QUERIES_AT_ONCE = 1 << 15
QUERY_VALUES_AT_ONCE = 1 << 25
POINTS_AT_ONCE = 1 << 25  # of all threads together
N_BUCKETS = 2048
SAMPLE = 256  # gallery images from which the spread of products is estimated
SPREADS = 4.5  # mean absolute deviations above the mean; few products are larger
ROUNDING64 = 2.0**-53  # relative error of one float64 operation
MARGIN = 1.05  # covers products of rounding errors and the rounding of the bound itself
GUARD = 0.5  # largest error that may be observed, as a share of the tried bound
LARGEST_NORM = 2.0**40  # norms between its inverse and this cannot make a float32 product overflow or underflow


def count_ranks(
    similarity: Similarity,
    queries: IntArray,
    gallery: IntArray,
    points: FloatArray,
    excluded: Ragged,
    point_start: IntArray,
    *,
    query_block: int = QUERY_BLOCK,
    gallery_block: int = GALLERY_BLOCK,
    threads: int | None = None,
    guarded: bool = True,
    multiplier: Multiplier | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> Counts:
    """Count the gallery images above and equal to each point of each query.

    Args:
        similarity: similarities of all test rows.
        queries: shape (n_queries,); test rows of the queries.
        gallery: shape (n_gallery,); test rows of the gallery.
        points: shape (n_points,), ascending within each query; see `retrieve.contract`.
        excluded: for each query, the gallery indices that are not counted.
        point_start: shape (n_queries + 1,); query q has points[point_start[q]:point_start[q + 1]].
        query_block: largest number of queries per matrix product.
        gallery_block: largest number of gallery images per matrix product.
        threads: number of threads; one per core if None.
        guarded: try a smaller error bound than the proven one first.
        multiplier: how to multiply; the fastest on this machine if None.
        advance: called with the number of queries finished since the last call.
    """
    counts = Counts.zero(points.size)
    with_points = np.flatnonzero(np.diff(point_start) > 0)  # a query without points has nothing to count
    if with_points.size == 0 or gallery.size == 0:
        advance(queries.size)
        return counts
    if similarity.distance == "euclidean":
        used_rows = np.concatenate([queries[with_points], gallery])
        if not _norms_are_moderate(similarity, used_rows):
            return plain.count_ranks(
                similarity, queries, gallery, points, excluded, point_start, threads=threads, advance=advance
            )
    stored = np.argsort(similarity.order[gallery], kind="stable")  # gallery indices in the order of the file
    is_cosine, dimension = similarity.distance == "cosine", similarity.dimension
    job = _Job(
        similarity,
        gallery[stored],
        _places(stored, excluded),
        is_cosine,
        multiplier or fastest(with_points.size * gallery.size, is_cosine=is_cosine, dimension=dimension),
        query_block,
        max(1, min(gallery_block, BLOCK_VALUES // dimension, kernel.MOST_IMAGES)),
        threads or cpu_count() or 1,
    )
    advance(queries.size - with_points.size)
    n_queries = max(1, min(QUERIES_AT_ONCE, QUERY_VALUES_AT_ONCE // similarity.dimension))
    for part in _passes(point_start, with_points, n_queries, POINTS_AT_ONCE // job.threads):
        own = slice(point_start[part[0]], point_start[part[-1] + 1])
        start = np.concatenate([point_start[part], [own.stop]]) - own.start
        span = (excluded.start[part], excluded.start[part + 1])
        progress = _Progress(part.size, advance)
        vectors = stored_vectors(job.similarity, queries[part])
        factors = _query_factors(job, vectors, similarity.norm[queries[part]])
        sample = _sample(job, vectors, similarity.norm[queries[part]], factors)
        proven, tried = job.multiplier.proven, job.multiplier.tried(sample.largest_error)
        for bound in (tried, proven) if guarded and tried is not proven else (proven,):
            kernel_points = _points(job, queries[part], vectors, points[own], start, span, sample.ceiling, bound)
            own_counts = Counts(counts.above[own], counts.tied[own])
            if _count(job, kernel_points, factors, own_counts, progress, guarded=bound is not proven):
                break
        progress.finish()
    return counts


@dataclass(frozen=True, eq=False)
class _Job:
    """What is the same for all blocks.

    Attributes:
        similarity: similarities of all test rows.
        gallery: shape (n_gallery,); test rows in the order in which they are stored; an image's place is its index.
        excluded: shape (n_excluded,); places of excluded images, ascending within a query.
        is_cosine: whether the distance is cosine; otherwise it is euclidean.
        multiplier: how to multiply.
        query_block: largest number of queries per product.
        gallery_block: largest number of gallery images per product.
        threads: number of threads.
    """

    similarity: Similarity
    gallery: IntArray
    excluded: Int32Array
    is_cosine: bool
    multiplier: Multiplier
    query_block: int
    gallery_block: int
    threads: int

    def query_rows(self, n_queries: int) -> int:
        """Queries per product, nearly the same for all: a product of few queries takes longer per query."""
        n_rows, step = -(-n_queries // -(-n_queries // self.query_block)), self.multiplier.rows_together
        return -(-n_rows // step) * step


class _Progress:
    """Reports finished queries from the share of work done, parts of which may be done twice."""

    def __init__(self, n_queries: int, advance: Callable[[int], None]) -> None:
        self.n_queries, self.advance, self.n_reported = n_queries, advance, 0

    def reach(self, share: float) -> None:
        n_done = int(share * self.n_queries)
        if n_done > self.n_reported:
            self.advance(n_done - self.n_reported)
            self.n_reported = n_done

    def finish(self) -> None:
        self.advance(self.n_queries - self.n_reported)


def _norms_are_moderate(similarity: Similarity, rows: IntArray) -> bool:
    norm = similarity.norm[rows]
    return bool(((norm >= 1.0 / LARGEST_NORM) & (norm <= LARGEST_NORM)).all())


def _places(stored: IntArray, excluded: Ragged) -> Int32Array:
    """Places of the excluded images, ascending for each query."""
    if bool((stored[1:] > stored[:-1]).all()):
        return excluded.values
    place = np.empty(stored.size, dtype=np.int64)
    place[stored] = np.arange(stored.size)
    owner = np.repeat(np.arange(len(excluded)), np.diff(excluded.start))
    key = np.sort((owner << 32) | place[excluded.values])
    return (key & 0xFFFFFFFF).astype(np.int32)


def _passes(point_start: IntArray, with_points: IntArray, n_queries: int, n_points: int) -> Iterator[IntArray]:
    """Split the queries into parts whose points and tables fit into memory; each part reads the whole gallery."""
    first = 0
    while first < with_points.size:
        last = int(np.searchsorted(point_start[with_points + 1], point_start[with_points[first]] + n_points, "right"))
        last = min(max(last, first + 1), first + n_queries)
        yield with_points[first:last]
        first = last


def _points(
    job: _Job,
    queries: IntArray,
    vectors: Float32Array,
    exact: FloatArray,
    start: IntArray,
    excluded: tuple[IntArray, IntArray],
    ceiling: Float32Array,
    bound: Bound,
) -> kernel.Points:
    """The points in the units of products, and the error bounds of products.

    Cosine: a product of unit vectors is compared with the similarity itself. Euclidean, with p = -|q - g|^2: the
    product, q.g - |g|^2 / 2, is compared with (p + |q|^2) / 2. The error of a product of n terms is at most n u times
    the sum of their magnitudes, plus a few u for the rounding of its factors. That sum is at most 1 under cosine, and
    at most |q| |g| + |g|^2 / 2 under euclidean.
    """
    dimension = job.similarity.dimension
    norm = job.similarity.norm[queries]
    size = size64 = _sizes(job, norm)
    target = exact
    if not job.is_cosine:
        longest = float(job.similarity.norm[job.gallery].max())
        size64 = norm**2 + longest**2
        target = (exact + np.repeat(norm**2, np.diff(start))) / 2.0
    reach = MARGIN * ROUNDING * bound.at_zero * size
    slope = np.full(norm.size, MARGIN * ROUNDING * (bound.per_unit + 1.0))  # 1: ends of intervals are rounded too
    reach64 = 2.0 * MARGIN * (dimension + 8.0) * ROUNDING64 * size64  # the definition has errors too
    needs_32_bits = int(np.diff(start).max()) >= 1 << 15
    shape = (queries.size, N_BUCKETS + 2)
    table: kernel.UnsignedArray = np.empty(shape, np.uint32) if needs_32_bits else np.empty(shape, np.uint16)
    points = kernel.Points(
        vectors=vectors,
        norm=norm,
        start=start,
        exact=exact,
        target=target,
        reach=reach,
        slope=slope,
        reach64=reach64,
        table=table,
        base=np.empty(queries.size, dtype=np.float32),
        scale=np.empty(queries.size, dtype=np.float32),
        excluded=job.excluded,
        excluded_first=excluded[0],
        excluded_last=excluded[1],
    )
    _for_ranges(job, queries.size, lambda first, last: kernel.fill_tables(points, ceiling, first, last))
    return points


def _sizes(job: _Job, norm: FloatArray) -> FloatArray:
    """Shape (n_queries,); the largest magnitude of a query's products, of which errors are a share."""
    if job.is_cosine:
        return np.ones(norm.size)
    longest = float(job.similarity.norm[job.gallery].max())
    return np.asarray(norm * longest + longest**2 / 2.0)


def _query_factors(job: _Job, vectors: Float32Array, norm: FloatArray) -> Factors:
    """Left factors of the queries."""
    factors = job.multiplier.query_factors(norm.size)
    _for_ranges(job, norm.size, lambda first, last: job.multiplier.fill_queries(factors, vectors, norm, first, last))
    return factors


@dataclass(frozen=True, eq=False)
class _Sample:
    """Products of the queries with some gallery images.

    Attributes:
        ceiling: shape (n_queries,); a value that the products of few images exceed.
        largest_error: of some of the products, in roundings.
    """

    ceiling: Float32Array
    largest_error: float


def _sample(job: _Job, vectors: Float32Array, norm: FloatArray, factors: Factors) -> _Sample:
    """Multiply the queries with some images, spread over the gallery; compute some products in float64 as well."""
    rows = job.gallery[:: -(-job.gallery.size // SAMPLE)]
    images = images_of(job.similarity, rows, column_buffer(0, job.similarity.dimension))
    image_factors = job.multiplier.image_factors(rows.size)
    job.multiplier.fill_images(image_factors, images)
    buffer = job.multiplier.buffer(norm.size, rows.size)
    products = job.multiplier.multiply(factors, 0, norm.size, image_factors, rows.size, buffer)
    products = products[: norm.size, : rows.size]
    some = slice(None, None, -(-norm.size // SAMPLE))
    left, right = vectors[some].astype(np.float64), images.vectors.astype(np.float64)
    if job.is_cosine:
        exact = (left / norm[some, None]) @ (right / images.norm[:, None]).T
    else:
        exact = left @ right.T - images.norm**2 / 2.0
    errors = np.abs(products[some] - exact) / _sizes(job, norm[some])[:, None]
    mean = products.mean(axis=1)
    products -= mean[:, None]
    ceiling = mean + np.float32(SPREADS) * np.abs(products, out=products).mean(axis=1)
    return _Sample(np.asarray(ceiling), float(errors.max()) / ROUNDING)


def _count(
    job: _Job, points: kernel.Points, factors: Factors, found: Counts, progress: _Progress, *, guarded: bool
) -> bool:
    """Write the counts above and equal to each point; return False if an error of a product exceeds the guard."""
    warm.wait()
    counts = np.zeros((job.threads, points.exact.size + points.norm.size), dtype=np.int32)
    tied = np.zeros((job.threads, points.exact.size), dtype=np.int32)
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for thread in range(job.threads):
        idle.put(_Worker(job, points, factors, counts[thread], tied[thread]))

    def work(block: slice, part: slice) -> tuple[int, float]:
        worker = idle.get()
        try:
            return (block.stop - block.start) * (part.stop - part.start), worker.count(block, part)
        finally:
            idle.put(worker)

    n_done, n_pairs = 0, job.gallery.size * points.norm.size
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(job.threads) as pool:
        futures = [pool.submit(work, *tile) for tile in _tiles(job, points.norm.size)]
        try:
            for future in as_completed(futures):
                n_counted, worst = future.result()
                if guarded and worst > GUARD:
                    return False
                n_done += n_counted
                progress.reach(n_done / n_pairs)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # after an error or an interrupt: start no further block
    _for_ranges(job, points.norm.size, lambda first, last: _add_up(counts, tied, points.start, first, last, found))
    return True


def _add_up(counts: Int32Array, tied: Int32Array, start: IntArray, first: int, last: int, found: Counts) -> None:
    """Add up the counts of several threads: images above each point of some queries, and images that tie with it.

    Args:
        counts: shape (n_threads, n_points + n_queries); as `kernel.count_block` writes them.
        tied: shape (n_threads, n_points); as `kernel.count_block` writes them.
        start: shape (n_queries + 1,); see `kernel.Points`.
        first: the first of the queries.
        last: the first query after them.
        found: written; its `tied` are all zero, and only ties are written there, so most of it takes no memory.
    """
    own = slice(start[first], start[last])
    row = np.repeat(np.arange(last - first), np.diff(start[first : last + 1]))
    of_range = counts[:, own.start + first : own.stop + last].sum(axis=0, dtype=np.int64)
    until = np.cumsum(of_range)
    end = until[start[first + 1 : last + 1] - own.start + np.arange(last - first)]  # of all counts of each query
    found.above[own] = end[row] - until[np.arange(row.size) + row]
    ties = tied[:, own].sum(axis=0)
    found.tied[own][ties > 0] = ties[ties > 0]


def _for_ranges(job: _Job, n_queries: int, work: Callable[[int, int], None]) -> None:
    """Call `work(first, last)` for ranges that together hold all queries, in parallel."""
    step = -(-n_queries // (PARTS * job.threads))
    with ThreadPoolExecutor(job.threads) as pool:
        list(pool.map(lambda first: work(first, min(first + step, n_queries)), range(0, n_queries, step)))


def _tiles(job: _Job, n_queries: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of the gallery with all queries; the last ones are split, so that cores finish together."""
    n_images = job.gallery.size
    n_blocks = -(-n_images // min(job.gallery_block, max(SMALLEST_BLOCK, -(-n_images // (2 * job.threads)))))
    step, n_rows = -(-n_images // n_blocks), job.query_rows(n_queries)
    for block in range(n_blocks):
        images = slice(block * step, min((block + 1) * step, n_images))
        width = n_queries if block < n_blocks - job.threads else n_rows
        for first in range(0, n_queries, width):
            yield images, slice(first, min(first + width, n_queries))


class _Worker:
    """One thread's counts and buffers, and the block of images that it counted last."""

    def __init__(
        self, job: _Job, points: kernel.Points, factors: Factors, counts: Int32Array, tied: Int32Array
    ) -> None:
        self.job, self.points, self.factors, self.counts, self.tied = job, points, factors, counts, tied
        n_queries, dimension = points.vectors.shape
        self.n_rows = job.query_rows(n_queries)
        self.products = job.multiplier.buffer(self.n_rows, job.gallery_block)
        self.columns = column_buffer(job.gallery_block, dimension)
        self.scratch = kernel.scratch(points, job.gallery_block)
        self.image_factors = job.multiplier.image_factors(job.gallery_block)
        self.block = slice(0, 0)

    def count(self, block: slice, part: slice) -> float:
        """Count a block for a part of the queries; return the largest error found, as a share of its bound."""
        job, points = self.job, self.points
        if block != self.block:
            self.images = images_of(job.similarity, job.gallery[block], self.columns, block.start)
            job.multiplier.fill_images(self.image_factors, self.images)
            self.block = block
        n_images = self.images.norm.size
        worst = 0.0
        for first in range(part.start, part.stop, self.n_rows):
            n_rows = min(self.n_rows, part.stop - first)
            products = job.multiplier.multiply(self.factors, first, n_rows, self.image_factors, n_images, self.products)
            error, _, _ = kernel.count_block(
                products, n_rows, points, first, self.images, job.is_cosine, self.scratch, self.counts, self.tied
            )
            worst = max(worst, error)
        return worst
