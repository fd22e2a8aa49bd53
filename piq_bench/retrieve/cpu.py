"""The CPU engine: float32 products block by block, counted by a compiled kernel; float64 decides near a point.

In comes what `retrieve.contract` says. Every core takes blocks of the gallery in turn, multiplies each with all queries
by its own single-threaded BLAS call, and counts while the products are still in its cache; nothing waits for another
core. The gallery is walked once, in the order in which it is stored, so it may be memory-mapped.

The error of a float32 product of n terms is at most (n + 1) 2**-24 times both norms (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 3.1). In practice it grows like the root of n and is many times smaller, and each
value within the bound costs a float64 product. So a smaller bound is tried first and guarded: a sample of all products
and all that were decided in float64 tell the largest error seen, and unless it stays below a quarter of the smaller
bound, everything is counted again with the proven one.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from math import sqrt
from os import cpu_count
from queue import SimpleQueue

import numpy as np
from threadpoolctl import threadpool_limits

from piq_bench.records import FloatArray, IntArray
from piq_bench.retrieve import kernel, plain
from piq_bench.retrieve.candidates import Ragged
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.definition import images_of, room_for_columns, stored_vectors
from piq_bench.retrieve.similarity import Similarity

ENGINE = "cpu (numba)"
QUERY_BLOCK = 512
GALLERY_BLOCK = 4096
BLOCK_VALUES = 1 << 21  # of a gallery block: it stays in the last cache
SMALLEST_BLOCK = 256
QUERIES_AT_ONCE = 1 << 15
POINTS_AT_ONCE = 1 << 25  # over all threads
N_BUCKETS = 2048
ROUNDING = 2.0**-24  # of one float32 operation
ROUNDING64 = 2.0**-53
MARGIN = 1.05  # covers products of rounding errors and the rounding of the bound itself
GUARD = 0.5  # of the tried bound: the largest error that may be seen
TAME = 2.0**40  # norms up to this, and down to its inverse, cannot make a float32 product overflow or vanish


def count_others(
    similarity: Similarity,
    queries: IntArray,
    gallery: IntArray,
    points: FloatArray,
    left_out: Ragged,
    point_start: IntArray,
    *,
    query_block: int = QUERY_BLOCK,
    gallery_block: int = GALLERY_BLOCK,
    threads: int | None = None,
    guarded: bool = True,
    advance: Callable[[int], None] = lambda steps: None,
) -> Counts:
    """Count the gallery images above and equal to each point of each query.

    Args:
        similarity: as for every engine, see `retrieve.contract.Engine`.
        queries: likewise.
        gallery: likewise.
        points: likewise.
        left_out: likewise.
        point_start: likewise.
        query_block: queries per matrix product.
        gallery_block: gallery images per matrix product, at most.
        threads: that count; all cores if None.
        guarded: try a smaller error bound than the proven one first.
        advance: likewise.
    """
    counts = Counts(np.zeros(points.size, dtype=np.int64), np.zeros(points.size, dtype=np.int64))
    asked = np.flatnonzero(np.diff(point_start) > 0)  # a query without points has nothing to count
    if asked.size == 0 or gallery.size == 0:
        advance(queries.size)
        return counts
    if not _is_tame(similarity, np.concatenate([queries[asked], gallery])):
        return plain.count_others(
            similarity, queries, gallery, points, left_out, point_start, threads=threads, advance=advance
        )
    stored = np.argsort(similarity.order[gallery], kind="stable")  # places in the file, to read it from end to end
    place = np.empty(gallery.size, dtype=np.int32)
    place[stored] = np.arange(gallery.size, dtype=np.int32)
    job = _Job(
        similarity,
        gallery[stored],
        place[left_out.values],
        similarity.distance == "cosine",
        query_block,
        max(1, min(gallery_block, BLOCK_VALUES // similarity.dimension)),
        threads or cpu_count() or 1,
    )
    advance(queries.size - asked.size)
    for part in _passes(point_start, asked, POINTS_AT_ONCE // job.threads):
        own = slice(point_start[part[0]], point_start[part[-1] + 1])
        start = np.concatenate([point_start[part], [own.stop]]) - own.start
        span = (left_out.start[part], left_out.start[part + 1])
        report = _Progress(part.size, advance)
        tried = (False, True) if guarded else (True,)
        for proven in tried:
            given = _points(job, queries[part], points[own], start, span, proven=proven)
            found = _count(job, given, report, guarded=not proven)
            if found is not None:
                counts.above[own], counts.tied[own] = found
                break
        report.finish()
    return counts


@dataclass(frozen=True, eq=False)
class _Job:
    """What all blocks share.

    Attributes:
        similarity: of all test rows.
        gallery: shape (n_gallery,); test rows, in the order in which they are stored: an image's place.
        left_out: shape (n_left_out,); places.
        is_cosine: else euclidean.
        query_block: queries per product.
        gallery_block: gallery images per product, at most.
        threads: that count.
    """

    similarity: Similarity
    gallery: IntArray
    left_out: "np.ndarray[tuple[int], np.dtype[np.int32]]"
    is_cosine: bool
    query_block: int
    gallery_block: int
    threads: int


class _Progress:
    """Turns work done, which may be done twice, into queries done."""

    def __init__(self, n_queries: int, advance: Callable[[int], None]) -> None:
        self.n_queries, self.advance, self.n_reported = n_queries, advance, 0

    def reach(self, share: float) -> None:
        n_done = int(share * self.n_queries)
        if n_done > self.n_reported:
            self.advance(n_done - self.n_reported)
            self.n_reported = n_done

    def finish(self) -> None:
        self.advance(self.n_queries - self.n_reported)


def _is_tame(similarity: Similarity, rows: IntArray) -> bool:
    norm = similarity.norm[rows]
    return bool(((norm >= 1.0 / TAME) & (norm <= TAME)).all())


def _passes(point_start: IntArray, asked: IntArray, n_points: int) -> Iterator[IntArray]:
    """The queries in parts whose points and tables fit into memory; each part is a walk over the gallery."""
    first = 0
    while first < asked.size:
        last = int(np.searchsorted(point_start[asked + 1], point_start[asked[first]] + n_points, "right"))
        last = min(max(last, first + 1), first + QUERIES_AT_ONCE)
        yield asked[first:last]
        first = last


def _points(
    job: _Job,
    queries: IntArray,
    exact: FloatArray,
    start: IntArray,
    left_out: tuple[IntArray, IntArray],
    *,
    proven: bool,
) -> kernel.Points:
    """What products are compared with, in their own scale, and how far they may be off.

    Cosine: q.g / |g| is compared with p |q|. Euclidean, with p = -|q - g|^2: q.g - |g|^2 / 2 with (p + |q|^2) / 2. A
    product of n terms is off by at most n u |q| |g|, the rest by a few u of the numbers at hand; euclidean, |q| |g|
    is at most (|q|^2 + |g|^2) / 2.
    """
    dimension = job.similarity.dimension
    norm = job.similarity.norm[queries]
    owner = np.repeat(np.arange(queries.size), np.diff(start))
    if job.is_cosine:
        size = norm
        target = exact * norm[owner]
    else:
        size = (norm**2 + float(job.similarity.norm[job.gallery].max()) ** 2) / 2.0
        target = (exact + (norm**2)[owner]) / 2.0
    n_roundings = dimension + 8.0 if proven else min(dimension + 8.0, sqrt(dimension) + 16.0)
    reach = MARGIN * n_roundings * ROUNDING * size
    reach64 = 2.0 * MARGIN * (dimension + 8.0) * ROUNDING64 * size  # the definition is off as well
    low = np.nextafter((target - reach[owner]).astype(np.float32), np.float32(-np.inf))
    high = np.nextafter((target + reach[owner]).astype(np.float32), np.float32(np.inf))
    many = int(np.diff(start).max()) >= 1 << 15
    table = np.empty((queries.size, N_BUCKETS + 2), dtype=np.uint32 if many else np.uint16)
    base, scale = np.empty((2, queries.size), dtype=np.float32)
    kernel.fill_tables(low, high, start, table, base, scale)
    vectors = stored_vectors(job.similarity, queries)
    return kernel.Points(
        vectors, norm, start, exact, target, reach, reach64, table, base, scale, job.left_out, *left_out
    )


def _count(job: _Job, points: kernel.Points, progress: _Progress, *, guarded: bool) -> tuple[IntArray, IntArray] | None:
    """Counts above and equal to each point; None if products were further off than the guard allows."""
    idle: SimpleQueue[_Worker] = SimpleQueue()
    workers = [_Worker(job, points) for _ in range(job.threads)]
    for worker in workers:
        idle.put(worker)

    def work(block: slice) -> tuple[int, float]:
        worker = idle.get()
        worst = worker.count(block)
        idle.put(worker)
        return block.stop - block.start, worst

    n_done = 0
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(job.threads) as pool:
        futures = [pool.submit(work, block) for block in _blocks(job.gallery.size, job.gallery_block, job.threads)]
        try:
            for future in as_completed(futures):
                n_images, worst = future.result()
                if guarded and worst > GUARD:
                    return None
                n_done += n_images
                progress.reach(n_done / job.gallery.size)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # after an error or an interrupt: no block is begun any more
    counts = workers[0].counts.astype(np.int64)
    tied = workers[0].tied.astype(np.int64)
    for worker in workers[1:]:
        counts += worker.counts
        tied += worker.tied
    above = np.empty_like(tied)
    kernel.sum_above(counts, points.start, above)
    return above, tied


def _blocks(n_images: int, block: int, threads: int) -> Iterator[slice]:
    """Blocks that get smaller towards the end, so that all cores finish at the same time."""
    first = 0
    while first < n_images:
        size = min(block, max(SMALLEST_BLOCK, -(-(n_images - first) // (2 * threads))), n_images - first)
        yield slice(first, first + size)
        first += size


class _Worker:
    """One thread's counts and room to work in."""

    def __init__(self, job: _Job, points: kernel.Points) -> None:
        self.job, self.points = job, points
        n_queries, dimension = points.vectors.shape
        self.counts = np.zeros(points.exact.size + n_queries, dtype=np.int32)
        self.tied = np.zeros(points.exact.size, dtype=np.int32)
        self.products = np.empty(min(job.query_block, n_queries) * job.gallery_block, dtype=np.float32)
        self.columns = room_for_columns(job.gallery_block, dimension)

    def count(self, block: slice) -> float:
        """Count a block of the gallery; how far products were off, in units of the bound."""
        job, points = self.job, self.points
        rows = job.gallery[block]
        images = images_of(job.similarity, rows, self.columns, block.start)
        worst = 0.0
        n_queries = points.norm.size
        for first in range(0, n_queries, job.query_block):
            n_rows = min(job.query_block, n_queries - first)
            products = self.products[: n_rows * rows.size].reshape(n_rows, rows.size)
            np.matmul(points.vectors[first : first + n_rows], images.vectors.T, out=products)
            off, _, _ = kernel.count_block(products, points, first, images, job.is_cosine, self.counts, self.tied)
            worst = max(worst, off)
        return worst
