"""Ranks the positives of all queries, with and without near-duplicates, in one retrieval.

The similarities of a query's positives and near-duplicates are computed by definition; an engine counts all other
images around the positives. Rankings with and without near-duplicates then differ only in whether those few are added.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np

from piq_bench.metrics.retrieval import Rankings
from piq_bench.records import BoolArray, FloatArray, Int32Array, IntArray
from piq_bench.retrieve.candidates import Candidates, Ragged, gather, owners, union
from piq_bench.retrieve.contract import Counts, Engine
from piq_bench.retrieve.matrix import MatrixSimilarity, read_ranks
from piq_bench.retrieve.similarity import Similarity

TABLE_VALUES = 1 << 19  # similarities of one identity's queries and images computed at a time
SORTED_AT_ONCE = 256  # queries
COMPILE_FROM = 1 << 28  # pairs times dimensions; smaller jobs are done before a compiler has started
Values = IntArray | Int32Array | FloatArray


@dataclass(frozen=True, eq=False)
class Retrieved:
    """The positives of all queries, ranked among their candidates.

    Attributes:
        start: shape (n_queries + 1,); query q has the positives start[q] to start[q + 1], near-duplicates included.
        exact: shape (n_positives,); similarities by definition, ascending within a query.
        is_duplicate: shape (n_positives,); whether the positive is a near-duplicate of its query.
        others: counts around each positive of images that are neither positives nor near-duplicates.
        near: counts, around the positives at `near_place`, of near-duplicates that are not positives.
        near_place: shape (n_near,), ascending; all positives of the few queries that have such near-duplicates.
        n_positives: shape (n_queries,); positives of each query without its near-duplicates.
        n_candidates: shape (n_queries,); candidates of each query without its near-duplicates.
    """

    start: IntArray
    exact: FloatArray
    is_duplicate: BoolArray
    others: Counts
    near: Counts
    near_place: IntArray
    n_positives: IntArray
    n_candidates: IntArray

    def rankings(self, first: int, last: int, *, exclude: bool) -> Rankings:
        """The rankings of the queries from `last` - 1 down to `first`, without their near-duplicates or with them.

        The order is reversed because each query's positives are read from the most similar to the least, and an array
        is read much faster straight through than in any other order.
        """
        own = slice(self.start[first], self.start[last])
        n_earlier = own.stop - self.start[first : last + 1][::-1]  # positives of queries ranked earlier
        exact, above, tied = self.exact[own][::-1], self.others.above[own][::-1], self.others.tied[own][::-1]
        if exclude:
            kept = np.flatnonzero(~self.is_duplicate[own][::-1])
            exact, above, tied = exact[kept], above[kept], tied[kept]
            n_earlier = np.searchsorted(kept, n_earlier)
        else:
            near = slice(*np.searchsorted(self.near_place, (own.start, own.stop)).tolist())
            place = own.stop - 1 - self.near_place[near]
            above, tied = above.copy(), tied.copy()
            above[place] += self.near.above[near]
            tied[place] += self.near.tied[near]
        is_first = np.empty(exact.size + 1, dtype=bool)
        np.not_equal(exact[1:], exact[:-1], out=is_first[1:-1])
        is_first[n_earlier] = True
        run = np.flatnonzero(is_first[:-1])
        n_positives = np.diff(run, append=exact.size)
        if run.size < exact.size:  # positives that tie with another are rare
            above, tied = above[run], tied[run]
        start = np.searchsorted(run, n_earlier)
        n_above = above + (run - np.repeat(n_earlier[:-1], np.diff(start)))
        n_images = np.asarray(tied + n_positives, dtype=np.int64)
        return Rankings(start, n_positives, n_images, n_above)


def rank(
    similarity: Similarity | MatrixSimilarity,
    candidates: Candidates,
    test_row: IntArray,
    engine: Engine,
    *,
    advance: Callable[[int], None] = lambda steps: None,
) -> Retrieved:
    """Rank every query's positives among its candidates.

    Args:
        similarity: similarities of all test rows.
        candidates: who is compared with whom.
        test_row: shape (n_images,); the test row of a benchmark row.
        engine: counts all images but positives and near-duplicates; a matrix needs none.
        advance: called with the number of queries finished since the last call.
    """
    queries, gallery = test_row[candidates.query], test_row[candidates.gallery]
    positives, duplicates = candidates.positives, candidates.duplicates
    of_query = owners(duplicates)
    found = _search_lists(positives.start, positives.values, of_query, duplicates.values)
    is_positive = found < positives.start[of_query + 1]
    is_positive[is_positive] = positives.values[found[is_positive]] == duplicates.values[is_positive]
    near_query, near = of_query[~is_positive], duplicates.values[~is_positive]
    excluded = _merge_values(positives, near_query, near)
    excluded = union(excluded, candidates.ignored)
    if isinstance(similarity, MatrixSimilarity):
        near_lists = Ragged(np.searchsorted(near_query, np.arange(queries.size + 1)), near)
        exact, near_exact, others = read_ranks(
            similarity, queries, gallery, positives, near_lists, excluded, advance=advance
        )
        near_positives = exact[found[is_positive]]
        _sort_lists(exact, positives.start)
    else:
        exact = _similarities(similarity, candidates, queries, gallery)
        near_exact = similarity.exact_pairs(queries[near_query], gallery[near])
        near_positives = exact[found[is_positive]]
        _sort_lists(exact, positives.start)
        others = engine(similarity, queries, gallery, exact, excluded, positives.start, advance=advance)
    is_duplicate = _mark_values(exact, positives.start, of_query[is_positive], near_positives)
    near_counts, near_place = _count_few(exact, positives.start, near_query, near_exact)
    n_all = gallery.size - np.diff(candidates.ignored.start)
    n_kept = np.diff(positives.start) - np.bincount(of_query[is_positive], minlength=queries.size)
    return Retrieved(
        start=positives.start,
        exact=exact,
        is_duplicate=is_duplicate,
        others=others,
        near=near_counts,
        near_place=near_place,
        n_positives=n_kept,
        n_candidates=n_all - np.diff(duplicates.start),
    )


def _similarities(similarity: Similarity, candidates: Candidates, queries: IntArray, gallery: IntArray) -> FloatArray:
    """The similarities of all positives, in their order.

    They are computed by identity, since an identity's queries share their positives except those that they ignore.
    """
    start, listed = candidates.positives.start, candidates.positives.values
    values = np.empty(listed.size)
    order = np.argsort(candidates.query_identity, kind="stable")
    if not _is_worth_compiling(listed.size * similarity.dimension):
        own_start, own = gather(start, order)
        values[own] = similarity.exact_pairs(np.repeat(queries[order], np.diff(own_start)), gallery[listed[own]])
        return values

    from piq_bench.retrieve.definition import write_exact

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


def _sort_lists(values: FloatArray, start: IntArray) -> None:
    """Sort the values of each query in place, ascending.

    Raises:
        ValueError: if one is NaN, which has no rank.
    """
    if np.isnan(values).any():
        raise ValueError("a similarity is NaN, which has no rank")
    bounds = start.tolist()

    def sort(first: int) -> None:
        for query in range(first, min(first + SORTED_AT_ONCE, len(bounds) - 1)):
            values[bounds[query] : bounds[query + 1]].sort()

    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        list(pool.map(sort, range(0, len(bounds) - 1, SORTED_AT_ONCE)))


def _mark_values(values: FloatArray, start: IntArray, query: IntArray, value: FloatArray) -> BoolArray:
    """Mark given values of some queries in their ascending lists; a value given twice marks two equal entries."""
    order = np.lexsort((value, query))
    first = _search_lists(start, values, query[order], value[order])
    place = np.arange(first.size)
    is_marked = np.zeros(values.size, dtype=bool)
    is_marked[first + place - np.searchsorted(first, first)] = True
    return is_marked


def _is_worth_compiling(n_values: int) -> bool:
    """Whether so many values repay the start of the compiler, or it has started already."""
    return "numba" in sys.modules or n_values >= COMPILE_FROM


def _search_lists(start: IntArray, values: Values, query: IntArray, value: Values, side: str = "left") -> IntArray:
    """Index into `values` at which each value belongs in the ascending list of its query."""
    low, high = start[query], start[query + 1]
    while (low < high).any():
        is_open = low < high
        middle = (low + high) // 2
        seen = values[np.where(is_open, middle, 0)]
        is_lower = is_open & ((seen < value) if side == "left" else (seen <= value))
        low = np.where(is_lower, middle + 1, low)
        high = np.where(is_open & ~is_lower, middle, high)
    return low


def _count_few(points: FloatArray, start: IntArray, query: IntArray, exact: FloatArray) -> tuple[Counts, IntArray]:
    """Count, as an engine does, pairs whose similarity is known; also return the points of the queries in those pairs.

    Args:
        points: shape (n_points,); ascending within a query.
        start: shape (n_queries + 1,); where each query's points begin.
        query: shape (n_pairs,); query of each pair.
        exact: shape (n_pairs,); similarity of each pair by definition.
    """
    counted, row = np.unique(query, return_inverse=True)  # few queries have such pairs
    own_start, own = gather(start, counted)
    owner = np.repeat(np.arange(counted.size), np.diff(own_start))
    place = np.arange(own.size) + owner  # a query has one count more than points
    first, last = (_search_lists(own_start, points[own], row, exact, side) + row for side in ("left", "right"))
    n_below = np.bincount(first, minlength=own.size + counted.size)  # by query and number of points below the image
    until = np.cumsum(n_below)
    above = until[own_start[1:] + np.arange(counted.size)][owner] - until[place]
    tied = np.cumsum(n_below - np.bincount(last, minlength=own.size + counted.size))[place]
    return Counts(above.astype(np.int32), tied.astype(np.int32)), own


def _merge_values(lists: Ragged, query: IntArray, values: Int32Array) -> Ragged:
    """The lists with new values added, which no list holds yet; `query` ascends, and so do the values of a query."""
    if values.size == 0:
        return lists
    n_more = np.bincount(query, minlength=len(lists))
    start = lists.start + np.concatenate([[0], np.cumsum(n_more)])
    place = _search_lists(lists.start, lists.values, query, values)
    return Ragged(start, np.insert(lists.values, place, values.astype(np.int32)))
