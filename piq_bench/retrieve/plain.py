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

from piq_bench.records import FloatArray, Int32Array, IntArray
from piq_bench.retrieve.candidates import Ragged
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.similarity import Similarity

QUERY_BLOCK = 128
GALLERY_BLOCK = 8192
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

    def count(block: IntArray, part: IntArray, images: FloatArray) -> int:
        table = similarity.fast_table(similarity.vectors(queries[block]), images)
        bound = similarity.error_bound(queries[block], gallery[part])
        _exclude(table, block, part, excluded, gallery.size)
        ordered = np.sort(table, axis=1)  # in the cache, which is faster than looking up each value among the points
        for row, query in enumerate(block):
            own = slice(point_start[query], point_start[query + 1])
            _count_row(
                similarity,
                int(queries[query]),
                gallery[part],
                table[row],
                ordered[row],
                points[own],
                float(bound[row]),
                counts.above[own],
                counts.tied[own],
            )
        return block.size

    blocks = np.split(with_points, range(query_block, with_points.size, query_block))
    # With one block there is nothing to share out, and to find the libraries to limit takes longer than a tiny job.
    limits = threadpool_limits(1, user_api="blas") if len(blocks) > 1 else nullcontext()
    with limits, ThreadPoolExecutor(threads or cpu_count() or 1) as pool:
        for start in range(0, gallery.size, gallery_block):
            part = order[start : start + gallery_block]
            images = similarity.vectors(gallery[part])
            n_counted = 0
            for n_queries in pool.map(partial(count, part=part, images=images), blocks):
                n_counted += n_queries
                n_pairs = start * with_points.size + part.size * n_counted
                advance(n_pairs // gallery.size - n_finished)
                n_finished = n_pairs // gallery.size
            del images  # before the next part's are read
    return counts


def _exclude(table: FloatArray, block: IntArray, part: IntArray, excluded: Ragged, n_gallery: int) -> None:
    """Set the values of excluded images below every point."""
    column = np.full(n_gallery, -1)
    column[part] = np.arange(part.size)
    for row, query in enumerate(block):
        columns = column[excluded[int(query)]]
        table[row, columns[columns >= 0]] = -np.inf


def _count_row(
    similarity: Similarity,
    query: int,
    gallery: IntArray,
    fast: FloatArray,
    ordered: FloatArray,
    points: FloatArray,
    bound: float,
    above: Int32Array,
    tied: Int32Array,
) -> None:
    """Add one query's counts over one block of the gallery to `above` and `tied`, shape (n_points,).

    Args:
        similarity: decides by definition what the fast similarities leave open.
        query: test row of the query.
        gallery: shape (n_block,); test rows of the block.
        fast: shape (n_block,); fast similarities, -inf for excluded images.
        ordered: shape (n_block,); `fast` in ascending order.
        points: shape (n_points,), ascending.
        bound: largest error of a fast similarity.
        above: shape (n_points,); images above each point, added to.
        tied: shape (n_points,); images equal to each point, added to.
    """
    # Around every point is an interval in which a fast similarity decides nothing; overlapping intervals are merged.
    apart = points[1:] - bound > points[:-1] + bound
    first = np.concatenate([[0], np.flatnonzero(apart) + 1])
    last = np.concatenate([first[1:], [points.size]]) - 1
    low, high = points[first] - bound, points[last] + bound
    n_not_above = np.searchsorted(ordered, high, "right")
    n_inside = n_not_above - np.searchsorted(ordered, low, "left")
    if n_inside.any():
        doubtful = n_inside > 0
        edges = np.stack([low[doubtful], high[doubtful]], axis=1).ravel()
        seen = np.flatnonzero(fast >= edges[0])
        inside = np.searchsorted(edges, fast[seen], "left") % 2 == 1
        inside |= np.isin(fast[seen], edges)  # an interval holds both its ends
        _count_by_definition(similarity, query, gallery[seen[inside]], points, above, tied)
    n_decided_later = np.cumsum(n_inside[::-1])[::-1] - n_inside  # inside the intervals above
    above += np.repeat(ordered.size - n_not_above - n_decided_later, last - first + 1)


def _count_by_definition(
    similarity: Similarity, query: int, undecided: IntArray, points: FloatArray, above: Int32Array, tied: Int32Array
) -> None:
    """Add the counts of gallery images that only the definition can decide."""
    rows, n_rows = np.unique(similarity.twin[undecided], return_counts=True)
    exact = similarity.exact_pairs(np.full(rows.size, query), rows)
    n_lower = np.searchsorted(points, exact, "left")  # points below each image
    n_not_higher = np.searchsorted(points, exact, "right")
    entered = np.bincount(n_lower, weights=n_rows, minlength=points.size + 1)
    left = np.bincount(n_not_higher, weights=n_rows, minlength=points.size + 1)
    above += np.cumsum(entered[::-1])[::-1][1:].astype(np.int64)
    tied += np.cumsum(entered - left)[:-1].astype(np.int64)
