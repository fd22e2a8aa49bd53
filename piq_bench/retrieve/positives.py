"""The similarities of each query's positives and near-duplicates, and the counts of other images around the positives.

In a large job compiled code computes these similarities by definition. In a small one their sums would take longer than
all else, so they start as matrix products, which are off by no more than a known bound. An engine then counts around
two points for each positive, one that far below it and one that far above. Where no image lies between them, and none
of the query's own images is as near, the bound cannot change the place of the positive, and a ranking consists of
places. The few other positives are computed by definition and counted again. The numpy engine keeps the products of a
small job, from which both come.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import cpu_count

import numpy as np
from threadpoolctl import threadpool_limits

from piq_bench.records import BoolArray, FloatArray, IntArray
from piq_bench.retrieve import plain
from piq_bench.retrieve.candidates import Candidates
from piq_bench.retrieve.contract import Counts, Engine
from piq_bench.retrieve.ragged import Ragged, gather, order_lists, owners, search_lists, sort_lists
from piq_bench.retrieve.similarity import Similarity

TABLE_VALUES = 1 << 19  # similarities of one identity's queries and images computed at a time
COMPILE_FROM = 1 << 21  # pairs; fewer are multiplied before a compiler has started
MANY_CROWDED = 1 << 18  # pairs; fewer are computed by definition before it has
PAIRS_AT_ONCE = 1 << 13  # in a product of several queries with all their images
PAIRS_OF_QUERY = 64  # that it counts for beside its own: a product holds all its queries with all its images
NONE: IntArray = np.zeros(0, dtype=np.int64)
SHARE = 15 / 16  # of the error bound, whose margin is larger: intervals around both points overlap, and become one


def count_positives(
    similarity: Similarity,
    candidates: Candidates,
    queries: IntArray,
    gallery: IntArray,
    near: Ragged,
    excluded: Ragged,
    marked: IntArray,
    engine: Engine,
    *,
    advance: Callable[[int], None],
) -> tuple[FloatArray, FloatArray, FloatArray, Counts]:
    """Similarities of each query's own images, which compare as those by definition do, and counts around positives.

    Args:
        similarity: similarities of all test rows.
        candidates: who is compared with whom.
        queries: shape (n_queries,); test rows of the queries.
        gallery: shape (n_gallery,); test rows of the gallery.
        near: for each query, the near-duplicates that are not positives, as gallery indices.
        excluded: for each query, the gallery indices that are not counted.
        marked: shape (n_marked,); indices into the positives, whose similarities are wanted by themselves.
        engine: counts all images but the excluded ones.
        advance: called with the number of queries finished since the last call.

    Returns:
        The similarities of the positives, ascending within each query; those of `marked` and of `near`, in their order;
        and the counts around the positives.
    """
    positives = candidates.positives
    own, count = None, engine
    if not _is_worth_compiling(positives.values.size):
        fast = partial(_by_product, similarity, queries, gallery, identity=candidates.query_identity)
        if engine is plain.count_ranks and queries.size * gallery.size <= plain.TABLE_PAIRS:
            table = plain.all_similarities(similarity, queries, gallery)
            fast, count = partial(_of_lists, table), partial(plain.count_in_table, table)
        own = _OwnImages(similarity, queries, gallery, positives, near, fast)
    if own is None or not own.define_crowded():
        values = _by_definition(similarity, candidates, queries, gallery)
        near_values = similarity.exact_pairs(queries[owners(near)], gallery[near.values])
        of_marked = values[marked]
        sort_lists(values, positives.start)
        counts = engine(similarity, queries, gallery, values, excluded, positives.start, advance=advance)
        return values, of_marked, near_values, counts

    around = np.stack([own.points - own.bound, own.points + own.bound], axis=1).ravel()
    found = count(similarity, queries, gallery, around, excluded, 2 * positives.start, advance=advance)
    counts = Counts(found.above[1::2].copy(), found.tied[1::2].copy())
    is_open = (own.bound > 0.0) & (found.above[::2] + found.tied[::2] > counts.above)
    if is_open.any():
        own.define(own.positives_at(is_open), NONE)
        again, n_open = np.unique(own.owner[is_open], return_counts=True)
        start = np.concatenate([[0], np.cumsum(n_open)])
        excluded_start, kept = gather(excluded.start, again)
        lists = Ragged(excluded_start, excluded.values[kept])
        points = own.points[is_open]
        found = engine(similarity, queries[again], gallery, points, lists, start, advance=lambda steps: None)
        counts.above[is_open], counts.tied[is_open] = found.above, found.tied
    return own.points, own.values[marked], own.near_values, counts


class _OwnImages:
    """Similarities of each query with its positives and near-duplicates, fast ones at first.

    Attributes:
        values: shape (n_positives,); similarities of the positives, in their order.
        near_values: shape (n_near,); those of the near-duplicates.
        points: shape (n_positives,); `values`, ascending within each query.
        bound: shape (n_positives,); how far each of `points` may be off; 0 for those by definition.
        bound_of_query: shape (n_queries,); how far its fast similarities may be off.
        is_exact: shape (n_positives,); which of `values` are by definition.
        owner: shape (n_positives,); the query of each, in their order and in that of `points`.
        near_owner: shape (n_near,); the query of each near-duplicate.
    """

    def __init__(
        self,
        similarity: Similarity,
        queries: IntArray,
        gallery: IntArray,
        positives: Ragged,
        near: Ragged,
        fast: Callable[[Ragged], FloatArray],
    ) -> None:
        """Take the similarities that `fast` gives of the queries with the images in their lists."""
        self.similarity, self.queries, self.gallery = similarity, queries, gallery
        self.positives, self.near = positives, near
        self.values, self.near_values = fast(positives), fast(near)
        self.points = self.values.copy()
        sort_lists(self.points, positives.start)
        self.owner, self.near_owner = owners(positives), owners(near)
        self.bound_of_query = SHARE * similarity.error_bound(queries, gallery)
        self.bound = np.repeat(self.bound_of_query, np.diff(positives.start))
        self.is_exact = np.zeros(self.values.size, dtype=bool)

    def define(self, positives: IntArray, near: IntArray) -> None:
        """Compute some similarities by definition, of positives and near-duplicates by their places among all."""
        images, near_images = self.positives.values[positives], self.near.values[near]
        exact = self.similarity.exact_pairs
        self.values[positives] = exact(self.queries[self.owner[positives]], self.gallery[images])
        self.near_values[near] = exact(self.queries[self.near_owner[near]], self.gallery[near_images])
        self.is_exact[positives] = True
        place, positive = self._ordered(self.owner[positives])
        self.points[place] = self.values[positive]
        self.bound[place] = np.where(self.is_exact[positive], 0.0, self.bound_of_query[self.owner[positive]])

    def positives_at(self, is_wanted: BoolArray) -> IntArray:
        """The positives whose similarities some of `points` are."""
        place, positive = self._ordered(self.owner[is_wanted])
        return positive[is_wanted[place]]

    def _ordered(self, queries: IntArray) -> tuple[IntArray, IntArray]:
        """Where the points of some queries are, named once or more, and the positive of each point."""
        start, place = gather(self.positives.start, np.flatnonzero(np.bincount(queries)))
        return place, place[order_lists(self.values[place], start)]

    def define_crowded(self) -> bool:
        """Compute by definition whatever may tie with another image, as far as is known, or has one like it.

        Of all others the order is known: they stay apart however far the similarities are off.

        Returns:
            False if these are so many that compiled code would have all of them sooner.
        """
        distance = 3.0 * self.bound_of_query  # twice, and something for rounding
        gap = np.diff(self.points)
        close = np.flatnonzero(gap <= distance.max(initial=0.0))  # few, and where the next query's points begin
        owner = self.owner[close]
        close = close[(owner == self.owner[close + 1]) & (gap[close] <= distance[owner])]
        reach = distance[self.near_owner]
        search = partial(search_lists, self.positives.start, self.points, self.near_owner)
        first, last = search(self.near_values - reach, "left"), search(self.near_values + reach, "right")
        near = np.flatnonzero(first < last)
        begun, ended = (np.bincount(each[near], minlength=self.points.size + 1) for each in (first, last))
        is_crowded = np.cumsum(begun - ended)[:-1] > 0 if near.size else np.zeros(self.points.size, dtype=bool)
        is_crowded[close] = is_crowded[close + 1] = True
        twin = self.similarity.twin[self.gallery]
        may_tie = (np.bincount(twin)[twin] > 1)[self.positives.values]  # with its twins
        may_tie[self.positives_at(is_crowded)] = True
        positives = np.flatnonzero(may_tie)
        if positives.size + near.size > MANY_CROWDED:
            return False
        self.define(positives, near)
        return True


def _by_definition(similarity: Similarity, candidates: Candidates, queries: IntArray, gallery: IntArray) -> FloatArray:
    """The similarities of all positives, in their order.

    They are computed by identity, since an identity's queries share their positives except those that they ignore.
    """
    from piq_bench.retrieve.definition import write_exact  # numba takes a while to load

    start, listed = candidates.positives.start, candidates.positives.values
    values = np.empty(listed.size)
    order = np.argsort(candidates.query_identity, kind="stable")
    starts = np.flatnonzero(np.diff(candidates.query_identity[order], prepend=-1))

    def write_part(members: IntArray) -> None:
        if candidates.ignored.values.size == 0:
            shared = listed[start[members[0]] : start[members[0] + 1]]
            write_exact(similarity, queries[members], gallery[shared], values, start[members])
            return
        own_start, own = gather(start, members)
        owner = np.repeat(np.arange(members.size), np.diff(own_start))
        shared, column = np.unique(listed[own], return_inverse=True)
        table = np.empty(members.size * shared.size)
        write_exact(similarity, queries[members], gallery[shared], table, np.arange(members.size) * shared.size)
        values[own] = table[owner * shared.size + column]

    def parts() -> Iterator[IntArray]:
        for members in np.split(order, starts[1:]):
            n_most = int((start[members + 1] - start[members]).max(initial=0))
            if n_most:
                step = max(1, TABLE_VALUES // n_most)
                yield from (members[first : first + step] for first in range(0, members.size, step))

    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        list(pool.map(write_part, parts()))
    return values


def _of_lists(table: FloatArray, lists: Ragged) -> FloatArray:
    """The similarities of the queries with the images in their lists, of those with all images."""
    return np.asarray(table[owners(lists), lists.values])


def _by_product(
    similarity: Similarity, queries: IntArray, gallery: IntArray, lists: Ragged, *, identity: IntArray
) -> FloatArray:
    """Similarities of the queries with the images in their lists, up to `Similarity.error_bound`.

    Queries of an identity, which share most of their images, are multiplied together.
    """
    values = np.empty(lists.values.size)
    n_images = np.diff(lists.start)
    order = np.argsort(identity, kind="stable")
    order = order[n_images[order] > 0]
    until = np.cumsum(n_images[order] + PAIRS_OF_QUERY)
    is_large = n_images[order] > PAIRS_AT_ONCE  # of another query's product it would make a far larger one
    ends = np.flatnonzero((np.diff(until // PAIRS_AT_ONCE) > 0) | is_large[1:] | is_large[:-1]) + 1

    def write(members: IntArray) -> None:
        own_start, own = gather(lists.start, members)
        images, column = np.unique(lists.values[own], return_inverse=True)
        one, table = similarity.vectors(queries[members]), np.empty((members.size, images.size))
        for first in range(0, images.size, PAIRS_AT_ONCE):
            part = slice(first, first + PAIRS_AT_ONCE)
            similarity.fast_table(one, similarity.vectors(gallery[images[part]]), out=table[:, part])
        values[own] = table[np.repeat(np.arange(members.size), np.diff(own_start)), column]

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cpu_count() or 1) as pool:
        list(pool.map(write, np.split(order, ends)))
    return values


def _is_worth_compiling(n_pairs: int) -> bool:
    """Whether so many pairs repay the start of the compiler, or it has started already."""
    return "numba" in sys.modules or n_pairs >= COMPILE_FROM
