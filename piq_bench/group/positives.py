"""Counts the queries that lose their last positive when near-duplicates are excluded, by groups and by neighbours.

Queries that share node, identity and all rule columns have the same positives and are counted together, as one cell.
"""

from collections.abc import Callable, Sequence

import numpy as np

from piq_bench.records import BoolArray, IntArray, Rule, joint_codes

SignedCodes = tuple[int, IntArray]
Term = frozenset[tuple[str, bool]]


class CombinationCounts:
    """Counts gallery images by combinations of indices; images with a negative index are not counted."""

    def __init__(self, *columns: IntArray) -> None:
        self.spans = [int(column.max(initial=0)) + 1 for column in columns]
        known = np.logical_and.reduce([column >= 0 for column in columns])
        self.keys, self.counts = np.unique(self.key([column[known] for column in columns]), return_counts=True)

    def key(self, columns: Sequence[IntArray]) -> IntArray:
        """One number for each row's combination."""
        key = np.zeros(len(columns[0]), dtype=np.int64)
        for column, span in zip(columns, self.spans, strict=True):
            key = key * span + column
        return key

    def of(self, *columns: IntArray) -> IntArray:
        """The count of each row's combination."""
        if not self.keys.size:
            return np.zeros(len(columns[0]), dtype=np.int64)
        inside = np.logical_and.reduce([(c >= 0) & (c < span) for c, span in zip(columns, self.spans, strict=True)])
        keys = self.key(columns)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(inside & (self.keys[place] == keys), self.counts[place], 0)


class Positives:
    """Counts the positives of each query that remain while neighbours are excluded.

    Args:
        node: shape (n_images,), as all other arrays; the node of each image.
        query: whether the image is a query.
        gallery: whether the image is in the gallery and not junk.
        identity: index; -1 where not known.
        excluded: signed codes of the rules that exclude positives, from `signed_codes`.
        n_levels: number of levels, which are distances in steps.
    """

    def __init__(
        self,
        node: IntArray,
        query: BoolArray,
        gallery: BoolArray,
        identity: IntArray,
        excluded: Sequence[SignedCodes],
        n_levels: int,
    ) -> None:
        self.identity_of_gallery = identity[gallery]
        self.signs = [sign for sign, _ in excluded]
        self.codes_of_gallery = [codes[gallery] for _, codes in excluded]
        self.gallery = gallery
        identified = query & (identity >= 0)
        columns = (node, identity, *(codes for _, codes in excluded))
        rows = np.stack([column[identified] for column in columns])
        cells, self.cell_of_query, self.n_queries = np.unique(rows, axis=1, return_inverse=True, return_counts=True)
        self.cell_of_query = self.cell_of_query.reshape(-1)  # (n_queries,) cell of each query
        self.query_rows = np.flatnonzero(identified)
        self.node, self.identity, *self.codes = cells  # (n_cells,), nodes ascending
        one_place = np.zeros(len(node), dtype=np.int64)
        self.total = self.positives_of_cells(one_place[gallery], np.zeros_like(self.node))
        self.counts_by_node = self.gallery_counts(node[gallery])
        self.excluded = np.zeros((len(self.node), n_levels), dtype=np.int64)
        self.excluded[:, 0] = self.positives_in(self.counts_by_node, self.node, np.arange(len(self.node)))

    @property
    def queries_with_positives(self) -> int:
        """Number of queries that have a positive before any exclusion."""
        return int(self.n_queries[self.total > 0].sum())

    def exclude(self, here: IntArray, there: IntArray, level: IntArray) -> None:
        """Excludes the gallery images of nodes `there` for the queries of nodes `here`.

        Each ordered pair of nodes must be given once, with its level.
        """
        starts, ends = np.searchsorted(self.node, here), np.searchsorted(self.node, here, side="right")
        counts = ends - starts
        pair = np.repeat(np.arange(len(here)), counts)
        cell = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts - starts, counts)
        lost = self.positives_in(self.counts_by_node, there[pair], cell)
        some = np.flatnonzero(lost)
        np.add.at(self.excluded, (cell[some], level[pair[some]]), lost[some])

    def queries_lost_to_neighbours(self, level: int) -> int:
        """Number of queries whose positives are all within the distance of `level`."""
        left = self.total - self.excluded[:, : level + 1].sum(axis=1)
        return int(self.n_queries[(self.total > 0) & (left == 0)].sum())

    def queries_lost_to_groups(self, group: IntArray) -> int:
        """Number of queries whose positives are all in the query's group; `group` has one number per image."""
        of_cell = np.empty(len(self.node), dtype=np.int64)
        of_cell[self.cell_of_query] = group[self.query_rows]  # all images of a node are in one group
        excluded = self.positives_of_cells(group[self.gallery], of_cell)
        return int(self.n_queries[(self.total > 0) & (excluded == self.total)].sum())

    def positives_of_cells(self, place_of_gallery: IntArray, place_of_cell: IntArray) -> IntArray:
        """Number of positives of each cell in its place, where a place is a set of gallery images such as a group."""
        return self.positives_in(self.gallery_counts(place_of_gallery), place_of_cell, np.arange(len(self.node)))

    def gallery_counts(self, place: IntArray) -> tuple[CombinationCounts, list[CombinationCounts]]:
        """Counts gallery images by place and identity, and by place, identity and each set of rule columns."""
        by_rule = [CombinationCounts(place, self.identity_of_gallery, codes) for codes in self.codes_of_gallery]
        return CombinationCounts(place, self.identity_of_gallery), by_rule

    def positives_in(
        self, counts: tuple[CombinationCounts, list[CombinationCounts]], place: IntArray, cell: IntArray
    ) -> IntArray:
        """Number of positives that cells have in places: images of their identity that no rule excludes."""
        by_identity, by_rule = counts
        identity = self.identity[cell]
        n_positives = by_identity.of(place, identity)
        for sign, ruled, codes in zip(self.signs, by_rule, self.codes, strict=True):
            n_positives = n_positives - sign * ruled.of(place, identity, codes[cell])
        return n_positives


def signed_codes(rules: Sequence[Rule], codes_of: Callable[[str], IntArray]) -> list[SignedCodes]:
    """Turns "excluded by any of these rules" into a signed sum of "agrees in these columns".

    By inclusion and exclusion over rules, and "differs" as "both known" minus "agrees".

    Args:
        rules: none of which names the near-duplicate group.
        codes_of: the codes of a column, shape (n_images,), -1 where unknown.
    """
    unions: dict[Term, int] = {}  # sets of (column, whether it must agree or only be known)
    for rule in rules:
        own = {frozenset((name, True) for name in rule.agree): 1}
        for name in rule.differ:
            known = [(term | {(name, False)}, n) for term, n in own.items()]
            agreeing = [(term | {(name, True)}, -n) for term, n in own.items()]
            own = _sum(*known, *agreeing)
        both = [(_merged(one, other), -n * m) for one, n in unions.items() for other, m in own.items()]
        unions = _sum(*unions.items(), *own.items(), *both)
    return [
        (sign, joint_codes([_condition(codes_of(name), agrees=agrees) for name, agrees in sorted(term)]))
        for term, sign in unions.items()
    ]


def _condition(codes: IntArray, *, agrees: bool) -> IntArray:
    """Codes that are equal where a condition holds: the same value, or any known value."""
    return codes if agrees else np.minimum(codes, 0)


def _merged(one: Term, other: Term) -> Term:
    """Both conditions at once: to agree in a column is to know it as well."""
    both = one | other
    return frozenset((name, agrees) for name, agrees in both if agrees or (name, True) not in both)


def _sum(*terms: tuple[Term, int]) -> dict[Term, int]:
    total: dict[Term, int] = {}
    for term, n in terms:
        merged = _merged(term, frozenset())
        total[merged] = total.get(merged, 0) + n
    return {term: n for term, n in total.items() if n}
