"""The plain engine: a float64 matrix product by blocks, each row of a block sorted, and the definition near a point.

It needs nothing but numpy: small jobs are done before a compiler has started, and every other engine is tested against
this one. It follows `retrieve.contract`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from os import cpu_count

import numpy as np
from threadpoolctl import threadpool_limits

from piq_bench.records import FloatArray, IntArray
from piq_bench.retrieve.candidates import Ragged, gather
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.similarity import Similarity

QUERY_BLOCK = 128
GALLERY_BLOCK = 8192
READ_ROWS = 512
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
        points: shape (n_points,); similarities by definition, ascending within each query.
        excluded: for each query, the gallery indices that are not counted.
        point_start: shape (n_queries + 1,); query q has points[point_start[q]:point_start[q + 1]].
        query_block: queries per matrix product.
        gallery_block: gallery images per matrix product.
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

    def count(block: IntArray, part: IntArray, images: FloatArray, column: IntArray) -> int:
        table = similarity.fast_table(similarity.vectors(queries[block]), images)
        lists, values = gather(excluded.start, block)
        _exclude(table, np.diff(lists), column[excluded.values[values]])
        own = slice(point_start[block[0]], point_start[block[-1] + 1])  # a query between them has no points
        row = np.repeat(np.arange(block.size), point_start[block + 1] - point_start[block])
        bound = similarity.error_bound(queries[block], gallery[part])
        of_block = Counts(counts.above[own], counts.tied[own])
        _count_block(similarity, queries[block], gallery[part], table, points[own], row, bound[row], of_block)
        return block.size

    blocks = np.split(with_points, range(query_block, with_points.size, query_block))
    # With one block there is nothing to share out, and to find the libraries to limit takes longer than a tiny job.
    limits = threadpool_limits(1, user_api="blas") if len(blocks) > 1 else nullcontext()
    with limits, ThreadPoolExecutor(threads or cpu_count() or 1) as pool:
        for start in range(0, gallery.size, gallery_block):
            part = order[start : start + gallery_block]
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


def _exclude(table: FloatArray, n_excluded: IntArray, column: IntArray) -> None:
    """Set the values of excluded images below every point.

    Args:
        table: shape (n_queries, n_block); changed.
        n_excluded: shape (n_queries,); the length of each query's list.
        column: the columns of all lists; -1 for images that are not in the block.
    """
    row = np.repeat(np.arange(n_excluded.size), n_excluded)
    table[row[column >= 0], column[column >= 0]] = -np.inf


def _count_block(
    similarity: Similarity,
    queries: IntArray,
    gallery: IntArray,
    fast: FloatArray,
    points: FloatArray,
    row: IntArray,
    bound: FloatArray,
    counts: Counts,
) -> None:
    """Add the counts of some queries over one block of the gallery to `counts`.

    Args:
        similarity: decides by definition what the fast similarities leave open.
        queries: shape (n_queries,); test rows of the queries, each with at least one point.
        gallery: shape (n_block,); test rows of the block.
        fast: shape (n_queries, n_block); fast similarities, -inf for excluded images.
        points: shape (n_points,); ascending within a query.
        row: shape (n_points,), ascending; the query, as a row of `fast`, of each point.
        bound: shape (n_points,); largest error of a fast similarity of that query.
        counts: shape (n_points,) each; added to.
    """
    # Around every point is an interval in which a fast similarity decides nothing; overlapping intervals are merged.
    low, high = points - bound, np.nextafter(points + bound, np.inf)  # from `low` to before `high`
    starts = np.append(True, (low[1:] >= high[:-1]) | (row[1:] != row[:-1]))
    first = np.flatnonzero(starts)
    last = np.append(first[1:], points.size) - 1
    edges = np.stack([low[first], high[last]], axis=1)
    limits = np.searchsorted(row[first], np.arange(queries.size + 1))
    n_lower = np.empty(edges.shape, dtype=np.int64)
    ordered = np.sort(fast, axis=1)  # in the cache, which is faster than looking up each value among the points
    bounds = limits.tolist()
    for query in range(queries.size):
        own = slice(bounds[query], bounds[query + 1])
        n_lower[own] = ordered[query].searchsorted(edges[own].ravel()).reshape(-1, 2)
    n_inside = n_lower[:, 1] - n_lower[:, 0]
    until = np.cumsum(n_inside)
    n_inside_higher = until[limits[1:] - 1][row[first]] - until  # the definition decides these for all points
    counts.above[:] += np.repeat(gallery.size - n_lower[:, 1] - n_inside_higher, last - first + 1)
    for query in np.flatnonzero(np.bincount(row[first], weights=n_inside)).tolist():
        own = slice(bounds[query], bounds[query + 1])
        seen = np.flatnonzero(fast[query] >= edges[own][0, 0])
        inside = np.searchsorted(edges[own].ravel(), fast[query, seen], "right") % 2 == 1
        of_query = slice(*np.searchsorted(row, (query, query + 1)).tolist())
        of_points = Counts(counts.above[of_query], counts.tied[of_query])
        _count_by_definition(similarity, int(queries[query]), gallery[seen[inside]], points[of_query], of_points)


def _count_by_definition(
    similarity: Similarity, query: int, undecided: IntArray, points: FloatArray, counts: Counts
) -> None:
    """Add the counts of gallery images that only the definition can decide."""
    rows, n_rows = np.unique(similarity.twin[undecided], return_counts=True)
    exact = similarity.exact_pairs(np.full(rows.size, query), rows)
    n_lower = np.searchsorted(points, exact, "left")  # points below each image
    n_not_higher = np.searchsorted(points, exact, "right")
    entered = np.bincount(n_lower, weights=n_rows, minlength=points.size + 1)
    left = np.bincount(n_not_higher, weights=n_rows, minlength=points.size + 1)
    counts.above[:] += np.cumsum(entered[::-1])[::-1][1:].astype(np.int64)
    counts.tied[:] += np.cumsum(entered - left)[:-1].astype(np.int64)
