"""The plain engine: a float64 matrix product by blocks, values counted by bucket, and the definition near a point.

It needs nothing but numpy: small jobs are done before a compiler has started, and every other engine is tested against
this one. It follows `retrieve.contract`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from os import cpu_count
from queue import SimpleQueue

import numpy as np
from threadpoolctl import threadpool_limits

from piq_bench.records import FloatArray, Int32Array, IntArray
from piq_bench.retrieve.contract import Counts, count_known
from piq_bench.retrieve.ragged import Ragged, gather, search_lists
from piq_bench.retrieve.similarity import Similarity

QUERY_BLOCK = 128
GALLERY_BLOCK = 10_240
READ_ROWS = 512
TABLE_PAIRS = 1 << 24  # queries x gallery, whose similarities are kept: 128 MiB
MULTIPLIED_VALUES = 1 << 21  # of queries, and of images, that are multiplied at a time
COUNTED_VALUES = 1 << 18  # of a table at a time: the arrays that this makes stay in the cache
LEAST_BUCKETS = 4  # of a query: one on each side of its range
LEAST_RANGE = 2.0**-500  # of a query's points, which may all be equal
ENGINE = "cpu (numpy)"


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
        query_block: queries per matrix product.
        gallery_block: largest number of gallery images per matrix product.
        threads: number of threads; one per core if None.
        advance: called with the number of queries finished since the last call.
    """
    counts = Counts.zero(points.size)
    with_points = np.flatnonzero(np.diff(point_start) > 0)  # a query without points has nothing to count
    order = np.argsort(similarity.norm[gallery], kind="stable")  # blocks of similar norms have tight error bounds
    advance(point_start.size - 1 - with_points.size)
    if not with_points.size:
        return counts
    n_finished = 0  # queries, as a share of the pairs

    def read(part: IntArray) -> FloatArray:
        images = np.empty((part.size, similarity.dimension))

        def fill(first: int) -> None:
            rows = slice(first, first + READ_ROWS)
            images[rows] = similarity.vectors(gallery[part[rows]])

        list(pool.map(fill, range(0, part.size, READ_ROWS)))
        return images

    count_rows = partial(_count_rows, similarity, queries, points, point_start, counts)

    def count(block: IntArray, part: IntArray, images: FloatArray, column: IntArray) -> int:
        memory = idle.get()
        try:
            room = memory[0][: block.size, : part.size]
            table = similarity.fast_table(similarity.vectors(queries[block]), images, room)
            lists, values = gather(excluded.start, block)
            _exclude(table, np.diff(lists), column[excluded.values[values]])
            for first in range(0, block.size, n_rows):
                rows = slice(first, first + n_rows)
                count_rows(block[rows], gallery[part], table[rows], memory[1:])
        finally:
            idle.put(memory)
        return block.size

    blocks = np.split(with_points, range(query_block, with_points.size, query_block))
    # With one block there is nothing to share out, and to find the libraries to limit takes longer than a tiny job.
    limits = threadpool_limits(1, user_api="blas") if len(blocks) > 1 else nullcontext()
    n_threads = threads or cpu_count() or 1
    n_parts = max(1, -(-gallery.size // gallery_block))
    width = max(1, -(-gallery.size // n_parts))  # equal parts: the points of a small one cost as much as of a large one
    n_rows = min(query_block, max(1, COUNTED_VALUES // width))
    idle = _memory(n_threads, (query_block, width), n_rows * width)
    with limits, ThreadPoolExecutor(n_threads) as pool:
        for start in range(0, gallery.size, width):
            part = order[start : start + width]
            column = np.full(gallery.size, -1)
            column[part] = np.arange(part.size)
            images = read(part)
            n_counted = 0
            for n_queries in pool.map(partial(count, part=part, images=images, column=column), blocks):
                n_counted += n_queries
                n_pairs = start * with_points.size + part.size * n_counted
                advance(n_pairs // gallery.size - n_finished)
                n_finished = n_pairs // gallery.size
            del images  # before the next part's are read
    return counts


def all_similarities(similarity: Similarity, queries: IntArray, gallery: IntArray) -> FloatArray:
    """Multiply all queries of a small job with its gallery.

    Args:
        similarity: similarities of all test rows.
        queries: shape (n_queries,); test rows of the queries.
        gallery: shape (n_gallery,); test rows of the gallery.

    Returns:
        Shape (n_queries, n_gallery); similarities up to `Similarity.error_bound`.
    """
    table = np.empty((queries.size, gallery.size))
    n_threads = cpu_count() or 1
    most = max(1, MULTIPLIED_VALUES // similarity.dimension)
    n_parts = n_threads * max(1, -(-gallery.size // (most * n_threads)))  # so that all threads end together
    width = max(1, -(-gallery.size // n_parts))
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for first in range(0, queries.size, most):
            rows = slice(first, first + most)
            one = similarity.vectors(queries[rows])

            def multiply(start: int, rows: slice = rows, one: FloatArray = one) -> None:
                part = slice(start, start + width)
                similarity.fast_table(one, similarity.vectors(gallery[part]), table[rows, part])

            list(pool.map(multiply, range(0, gallery.size, width)))
    return table


def count_in_table(
    table: FloatArray,
    similarity: Similarity,
    queries: IntArray,
    gallery: IntArray,
    points: FloatArray,
    excluded: Ragged,
    point_start: IntArray,
    *,
    advance: Callable[[int], None] = lambda steps: None,
) -> Counts:
    """Count as `count_ranks` does, and with the same arguments, in the `table` that `all_similarities` returned."""
    counts = Counts.zero(points.size)
    with_points = np.flatnonzero(np.diff(point_start) > 0)
    advance(queries.size - with_points.size)
    n_threads = cpu_count() or 1
    n_rows = max(1, min(with_points.size, COUNTED_VALUES // max(1, gallery.size)))
    idle = _memory(n_threads, (n_rows, gallery.size), n_rows * gallery.size)

    def count(first: int) -> int:
        block = with_points[first : first + n_rows]
        memory = idle.get()
        try:
            fast = np.take(table, block, axis=0, out=memory[0][: block.size], mode="clip")  # "raise" would copy twice
            lists, values = gather(excluded.start, block)
            _exclude(fast, np.diff(lists), excluded.values[values])
            _count_rows(similarity, queries, points, point_start, counts, block, gallery, fast, memory[1:])
        finally:
            idle.put(memory)
        return block.size

    with ThreadPoolExecutor(n_threads) as pool:
        for n_counted in pool.map(count, range(0, with_points.size, n_rows)):
            advance(n_counted)
    return counts


def _memory(
    n_threads: int, shape: tuple[int, int], n_counted: int
) -> SimpleQueue[tuple[FloatArray, FloatArray, IntArray]]:
    """Arrays for each thread, which it uses again, because new memory costs as much as a pass over it.

    Args:
        n_threads: number of threads.
        shape: of the similarities that a thread has at a time.
        n_counted: how many of them it counts at a time.
    """
    idle: SimpleQueue[tuple[FloatArray, FloatArray, IntArray]] = SimpleQueue()
    for _ in range(n_threads):
        idle.put((np.empty(shape), np.empty(n_counted), np.empty(n_counted, np.int64)))
    return idle


def _exclude(table: FloatArray, n_excluded: IntArray, column: IntArray | Int32Array) -> None:
    """Set the values of excluded images below every point.

    Args:
        table: shape (n_queries, n_block); changed.
        n_excluded: shape (n_queries,); the length of each query's list.
        column: the columns of all lists; -1 for images that are not in the block.
    """
    row = np.repeat(np.arange(n_excluded.size), n_excluded)
    table[row[column >= 0], column[column >= 0]] = -np.inf


def _count_rows(
    similarity: Similarity,
    queries: IntArray,
    points: FloatArray,
    point_start: IntArray,
    counts: Counts,
    rows: IntArray,
    gallery: IntArray,
    fast: FloatArray,
    memory: tuple[FloatArray, IntArray],
) -> None:
    """Add the counts of some queries over one block of the gallery to `counts`.

    Args:
        similarity: decides by definition what the fast similarities leave open.
        queries: as for `count_ranks`.
        points: as for `count_ranks`.
        point_start: as for `count_ranks`.
        counts: shape (n_points,) each; added to.
        rows: shape (n_rows,), ascending; some of the queries, each with at least one point; those between have none.
        gallery: shape (n_block,); test rows of the block.
        fast: shape (n_rows, n_block); fast similarities, -inf for excluded images.
        memory: shape (at least n_rows * n_block,) each; overwritten.
    """
    own = slice(point_start[rows[0]], point_start[rows[-1] + 1])
    row = np.repeat(np.arange(rows.size), point_start[rows + 1] - point_start[rows])
    bound = similarity.error_bound(queries[rows], gallery)[row]
    queries, points, counts = queries[rows], points[own], Counts(counts.above[own], counts.tied[own])
    # Around every point is an interval in which a fast similarity decides nothing; overlapping intervals are merged.
    low, high = points - bound, np.nextafter(points + bound, np.inf)  # from `low` to before `high`
    first = np.flatnonzero(np.append(True, (low[1:] >= high[:-1]) | (row[1:] != row[:-1])))
    last = np.append(first[1:], points.size) - 1
    edges, owner = np.stack([low[first], high[last]], axis=1), row[first]
    limits = np.searchsorted(owner, np.arange(queries.size + 1))
    buckets = _Buckets.around(edges, limits, max(gallery.size, LEAST_BUCKETS))
    bucket_of_edge = buckets.of(edges, owner, np.empty(edges.size), np.empty(edges.size, np.int64))
    bucket = buckets.of(fast, np.arange(queries.size), *memory).ravel()
    is_open = np.zeros(queries.size * buckets.n, dtype=bool)  # whether a bucket holds a part of an interval
    is_open[bucket_of_edge] = True
    for start, end in bucket_of_edge[np.diff(bucket_of_edge)[:, 0] > 1].tolist():
        is_open[start:end] = True
    n_values = np.bincount(bucket, minlength=is_open.size)
    n_values[is_open] = 0
    until = np.cumsum(n_values)
    above = until[(owner + 1) * buckets.n - 1] - until[bucket_of_edge[:, 1]]

    # Values in open buckets are few: those between intervals are counted by interval, the others by definition.
    looked_up = np.flatnonzero(is_open[bucket])
    of_query = looked_up // gallery.size
    n_below = search_lists(2 * limits, edges.ravel(), of_query, fast.ravel()[looked_up], "right")  # edges
    is_inside = n_below % 2 == 1
    place = (n_below // 2 + of_query)[~is_inside]  # a query has one place more than intervals
    until = np.cumsum(np.bincount(place, minlength=first.size + queries.size))
    above += until[limits[owner + 1] + owner] - until[np.arange(first.size) + owner]
    counts.above[:] += np.repeat(above, last - first + 1)
    inside = looked_up[is_inside]
    if inside.size:
        start = np.append(point_start[rows], point_start[rows[-1] + 1]) - point_start[rows[0]]
        _count_by_definition(similarity, queries, gallery, inside, points, start, counts)


@dataclass(frozen=True, eq=False)
class _Buckets:
    """Equal parts of the range between each query's lowest and highest edge; values are counted by bucket, unsorted.

    The bucket of a value never falls as the value grows, whatever is rounded on the way.

    Attributes:
        n: number of buckets of each query: the first is for all values below its range, the last for those above.
        scale: shape (n_queries,); buckets per unit.
        start: shape (n_queries,); where zero lies, in buckets; those of all queries are numbered through.
    """

    n: int
    scale: FloatArray
    start: FloatArray

    @classmethod
    def around(cls, edges: FloatArray, limits: IntArray, n: int) -> "_Buckets":
        """Buckets for the intervals `edges`, of which query q has limits[q] to limits[q + 1]."""
        lowest = edges[limits[:-1], 0]
        scale = (n - 3) / np.maximum(edges[limits[1:] - 1, 1] - lowest, LEAST_RANGE)
        return cls(n, scale, 1.0 - lowest * scale + np.arange(lowest.size) * n)

    def of(self, values: FloatArray, query: IntArray, place: FloatArray, bucket: IntArray) -> IntArray:
        """The buckets of values.

        Args:
            values: shape (n_rows, n_columns).
            query: shape (n_rows,); that of each row.
            place: shape (at least n_rows * n_columns,); overwritten.
            bucket: shape (at least n_rows * n_columns,); overwritten, and returned in the shape of `values`.
        """
        place = place[: values.size].reshape(values.shape)
        bucket = bucket[: values.size].reshape(values.shape)
        np.multiply(values, self.scale[query, None], out=place)
        place += self.start[query, None]
        first = (query * self.n)[:, None]
        bucket[...] = np.clip(place, first, first + (self.n - 1), out=place)
        return bucket


def _count_by_definition(
    similarity: Similarity,
    queries: IntArray,
    gallery: IntArray,
    undecided: IntArray,
    points: FloatArray,
    point_start: IntArray,
    counts: Counts,
) -> None:
    """Add the counts of pairs that only the definition can decide: query q and image i are q * gallery.size + i."""
    query, image = np.divmod(undecided, gallery.size)
    n_rows = similarity.twin.size
    pairs, n_images = np.unique(query * n_rows + similarity.twin[gallery[image]], return_counts=True)
    query, row = np.divmod(pairs, n_rows)
    found, own = count_known(points, point_start, query, similarity.exact_pairs(queries[query], row), n_images)
    counts.above[own] += found.above
    counts.tied[own] += found.tied
