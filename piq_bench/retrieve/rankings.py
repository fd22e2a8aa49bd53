"""Ranks the positives of all queries, with and without near-duplicates, in one retrieval.

The similarities of a query's positives and near-duplicates are known one by one; an engine counts all other images
around the positives. Rankings with and without near-duplicates then differ only in whether those few are added.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from piq_bench.metrics.retrieval import Rankings
from piq_bench.records import BoolArray, FloatArray, Int32Array, IntArray
from piq_bench.retrieve.candidates import Candidates
from piq_bench.retrieve.contract import Counts, Engine, count_known
from piq_bench.retrieve.matrix import MatrixSimilarity, read_ranks
from piq_bench.retrieve.positives import count_positives
from piq_bench.retrieve.ragged import Ragged, owners, search_lists, sort_lists, union
from piq_bench.retrieve.similarity import Similarity


@dataclass(frozen=True, eq=False)
class Retrieved:
    """The positives of all queries, ranked among their candidates.

    Attributes:
        start: shape (n_queries + 1,); query q has the positives start[q] to start[q + 1], near-duplicates included.
        values: shape (n_positives,); similarities, ascending within a query, that compare as those by definition do.
        is_duplicate: shape (n_positives,); whether the positive is a near-duplicate of its query.
        others: counts around each positive of images that are neither positives nor near-duplicates.
        near: counts, around the positives at `near_place`, of near-duplicates that are not positives.
        near_place: shape (n_near,), ascending; all positives of the few queries that have such near-duplicates.
        n_positives: shape (n_queries,); positives of each query without its near-duplicates.
        n_candidates: shape (n_queries,); candidates of each query without its near-duplicates.
    """

    start: IntArray
    values: FloatArray
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
        values, above, tied = self.values[own][::-1], self.others.above[own][::-1], self.others.tied[own][::-1]
        if exclude:
            kept = np.flatnonzero(~self.is_duplicate[own][::-1])
            values, above, tied = values[kept], above[kept], tied[kept]
            n_earlier = np.searchsorted(kept, n_earlier)
        else:
            near = slice(*np.searchsorted(self.near_place, (own.start, own.stop)).tolist())
            place = own.stop - 1 - self.near_place[near]
            above, tied = above.copy(), tied.copy()
            above[place] += self.near.above[near]
            tied[place] += self.near.tied[near]
        is_first = np.empty(values.size + 1, dtype=bool)
        np.not_equal(values[1:], values[:-1], out=is_first[1:-1])
        is_first[n_earlier] = True
        run = np.flatnonzero(is_first[:-1])
        n_positives = np.diff(run, append=values.size)
        if run.size < values.size:  # positives that tie with another are rare
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
    found = search_lists(positives.start, positives.values, of_query, duplicates.values)
    is_positive = found < positives.start[of_query + 1]
    is_positive[is_positive] = positives.values[found[is_positive]] == duplicates.values[is_positive]
    near_query, near = of_query[~is_positive], duplicates.values[~is_positive]
    excluded = _merge_values(positives, near_query, near)
    excluded = union(excluded, candidates.ignored)
    near_lists = Ragged(np.searchsorted(near_query, np.arange(queries.size + 1)), near)
    marked = found[is_positive]
    if isinstance(similarity, MatrixSimilarity):
        values, near_values, others = read_ranks(
            similarity, queries, gallery, positives, near_lists, excluded, advance=advance
        )
        near_positives = values[marked]
        sort_lists(values, positives.start)
    else:
        values, near_positives, near_values, others = count_positives(
            similarity, candidates, queries, gallery, near_lists, excluded, marked, engine, advance=advance
        )
    is_duplicate = _mark_values(values, positives.start, of_query[is_positive], near_positives)
    near_counts, near_place = count_known(values, positives.start, near_query, near_values)
    n_all = gallery.size - np.diff(candidates.ignored.start)
    n_kept = np.diff(positives.start) - np.bincount(of_query[is_positive], minlength=queries.size)
    return Retrieved(
        start=positives.start,
        values=values,
        is_duplicate=is_duplicate,
        others=others,
        near=near_counts,
        near_place=near_place,
        n_positives=n_kept,
        n_candidates=n_all - np.diff(duplicates.start),
    )


def _mark_values(values: FloatArray, start: IntArray, query: IntArray, value: FloatArray) -> BoolArray:
    """Mark given values of some queries in their ascending lists; a value given twice marks two equal entries."""
    order = np.lexsort((value, query))
    first = search_lists(start, values, query[order], value[order])
    place = np.arange(first.size)
    is_marked = np.zeros(values.size, dtype=bool)
    is_marked[first + place - np.searchsorted(first, first)] = True
    return is_marked


def _merge_values(lists: Ragged, query: IntArray, values: Int32Array) -> Ragged:
    """The lists with new values added, which no list holds yet; `query` ascends, and so do the values of a query."""
    if values.size == 0:
        return lists
    n_more = np.bincount(query, minlength=len(lists))
    start = lists.start + np.concatenate([[0], np.cumsum(n_more)])
    place = search_lists(lists.start, lists.values, query, values)
    return Ragged(start, np.insert(lists.values, place, values.astype(np.int32)))
