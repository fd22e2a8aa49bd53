"""Similarities and candidates to one ranking per query, with and without its near-duplicates, in one retrieval.

The similarities of a query's positives and near-duplicates are computed by definition; an engine counts all other
images around the positives. What exclusion changes is then a matter of adding those few or not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from piq_bench.metrics.retrieval import Ranking
from piq_bench.records import FloatArray, IntArray
from piq_bench.retrieve.candidates import Candidates, Ragged
from piq_bench.retrieve.contract import Engine
from piq_bench.retrieve.similarity import Similarity


@dataclass(frozen=True, eq=False)
class Rankings:
    """All queries, ranked.

    Attributes:
        ranking: per query; None where no positive is left.
        n_positives: shape (n_queries,).
        n_candidates: shape (n_queries,); positives included.
    """

    ranking: tuple[Ranking | None, ...]
    n_positives: IntArray
    n_candidates: IntArray


def rank(
    similarity: Similarity,
    candidates: Candidates,
    test_row: IntArray,
    engine: Engine,
    *,
    advance: Callable[[int], None] = lambda steps: None,
) -> tuple[Rankings, Rankings]:
    """Rank every query's positives: first without its near-duplicates, then with them.

    Args:
        similarity: of all test rows.
        candidates: who is compared with whom.
        test_row: shape (n_images,); the test row of a benchmark row.
        engine: counts the bulk.
        advance: told the number of queries done.
    """
    queries, gallery = test_row[candidates.query], test_row[candidates.gallery]
    exact = _positive_similarities(similarity, candidates, queries, gallery)
    others = [np.setdiff1d(candidates.duplicates[q], candidates.positives[q]) for q in range(queries.size)]
    start = np.concatenate([[0], np.cumsum([other.size for other in others])]).astype(np.int64)
    near = Ragged(start, np.concatenate([*others, np.zeros(0, dtype=np.int64)]))
    owner = np.repeat(np.arange(queries.size), np.diff(start))
    near_exact = similarity.exact_pairs(queries[owner], gallery[near.values])

    ascending = [np.argsort(exact[q], kind="stable") for q in range(queries.size)]
    points = np.concatenate([*(exact[q][ascending[q]] for q in range(queries.size)), np.zeros(0)])
    left_out = _concatenated(candidates.positives, near, candidates.ignored)
    counts = engine(similarity, queries, gallery, points, left_out, candidates.positives.start, advance=advance)

    excluded: list[Ranking | None] = []
    included: list[Ranking | None] = []
    n_kept = np.zeros(queries.size, dtype=np.int64)
    for query in range(queries.size):
        own = slice(candidates.positives.start[query], candidates.positives.start[query + 1])
        value, above, tied = points[own], counts.above[own], counts.tied[own]
        kept = ~np.isin(candidates.positives[query][ascending[query]], candidates.duplicates[query])
        n_kept[query] = int(kept.sum())
        excluded.append(_ranking(value[kept], above[kept], tied[kept]))
        duplicate = np.sort(near_exact[start[query] : start[query + 1]])
        not_above = np.searchsorted(duplicate, value, "right")
        n_tied = not_above - np.searchsorted(duplicate, value, "left")
        included.append(_ranking(value, above + duplicate.size - not_above, tied + n_tied))

    n_all = gallery.size - np.diff(candidates.ignored.start)
    return (
        Rankings(tuple(excluded), n_kept, n_all - np.diff(candidates.duplicates.start)),
        Rankings(tuple(included), np.diff(candidates.positives.start), n_all),
    )


def _positive_similarities(
    similarity: Similarity, candidates: Candidates, queries: IntArray, gallery: IntArray
) -> list[FloatArray]:
    """Per query, the similarities of its positives; identity by identity, since its queries share them."""
    values: list[FloatArray] = [np.zeros(0)] * queries.size
    order = np.argsort(candidates.query_identity, kind="stable")
    starts = np.flatnonzero(np.diff(candidates.query_identity[order], prepend=-1))
    for members in np.split(order, starts[1:]) if order.size else []:
        shared = np.unique(np.concatenate([candidates.positives[q] for q in members]))
        if shared.size:
            table = similarity.exact_table(queries[members], gallery[shared])
            for row, query in enumerate(members):
                values[query] = table[row, np.searchsorted(shared, candidates.positives[query])]
    return values


def _concatenated(*parts: Ragged) -> Ragged:
    """The lists of all parts, one after another, for each query; the parts do not overlap."""
    length = sum((np.diff(part.start) for part in parts), start=np.zeros(len(parts[0]), dtype=np.int64))
    owner = np.concatenate([np.repeat(np.arange(len(part)), np.diff(part.start)) for part in parts])
    values = np.concatenate([part.values for part in parts])
    start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return Ragged(start, values[np.argsort(owner, kind="stable")])


def _ranking(value: FloatArray, above: IntArray, tied: IntArray) -> Ranking | None:
    """From positives, ascending, with the counts of other candidates, to runs of equal similarity, descending."""
    if value.size == 0:
        return None
    value, above, tied = value[::-1], above[::-1], tied[::-1]
    first = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]]))
    n_positives = np.diff(np.concatenate([first, [value.size]]))
    return Ranking(n_positives=n_positives, n_images=n_positives + tied[first], n_above=above[first] + first)
