"""Which queries lose their last positive to the exclusion of near-duplicates, by groups and by neighbours.

Queries are taken together where they share unit, identity and every column of a rule: they have the same positives.
"""

from collections.abc import Callable, Sequence

import numpy as np

from piq_bench.records import BoolArray, IntArray, Rule, joint_codes

SignedCodes = tuple[int, IntArray]
Term = frozenset[tuple[str, bool]]


class Tally:
    """How many gallery images carry a combination of indices; combinations with a negative index are nobody's."""

    def __init__(self, *columns: IntArray) -> None:
        self.spans = [int(column.max(initial=0)) + 1 for column in columns]
        known = np.logical_and.reduce([column >= 0 for column in columns])
        self.keys, self.counts = np.unique(self.key([column[known] for column in columns]), return_counts=True)

    def key(self, columns: Sequence[IntArray]) -> IntArray:
        """One number for each row."""
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
    """Positives of each query that are left, while neighbours are removed."""

    def __init__(
        self,
        unit: IntArray,
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
        asked = query & (identity >= 0)
        rows = np.stack([unit[asked], identity[asked], *(codes[asked] for _, codes in excluded)])
        cells, self.members, self.size = np.unique(rows, axis=1, return_inverse=True, return_counts=True)
        self.members = self.members.reshape(-1)  # (n_queries,) cell of each
        self.rows = np.flatnonzero(asked)
        self.unit, self.identity, *self.codes = cells  # (n_cells,), units ascending
        self.total = self.count(np.zeros(int(gallery.sum()), dtype=np.int64), np.zeros(len(self.unit), dtype=np.int64))
        self.in_unit = unit[gallery]
        self.tallies = self.tallies_of(self.in_unit)
        self.removed = np.zeros((len(self.unit), n_levels), dtype=np.int64)
        self.removed[:, 0] = self.found(self.tallies, self.unit, np.arange(len(self.unit)))

    @property
    def queries_with_positives(self) -> int:
        """Before any exclusion."""
        return int(self.size[self.total > 0].sum())

    def remove(self, here: IntArray, there: IntArray, level: IntArray) -> None:
        """Queries of units `here` lose their positives in units `there`; each ordered pair of units once."""
        starts, ends = np.searchsorted(self.unit, here), np.searchsorted(self.unit, here, side="right")
        counts = ends - starts
        pair = np.repeat(np.arange(len(here)), counts)
        cell = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts - starts, counts)
        lost = self.found(self.tallies, there[pair], cell)
        some = np.flatnonzero(lost)
        np.add.at(self.removed, (cell[some], level[pair[some]]), lost[some])

    def lost_directly(self, level: int) -> int:
        """Queries whose every positive lies within the distance of `level`."""
        left = self.total - self.removed[:, : level + 1].sum(axis=1)
        return int(self.size[(self.total > 0) & (left == 0)].sum())

    def lost_in_groups(self, group: IntArray) -> int:
        """Queries whose every positive lies in their group; `group` has one number per image."""
        of_cell = np.empty(len(self.unit), dtype=np.int64)
        of_cell[self.members] = group[self.rows]  # a unit lies in one group
        excluded = self.count(group[self.gallery], of_cell)
        return int(self.size[(self.total > 0) & (excluded == self.total)].sum())

    def count(self, place_of_gallery: IntArray, place_of_cell: IntArray) -> IntArray:
        """Positives of each cell among the gallery images of its place."""
        return self.found(self.tallies_of(place_of_gallery), place_of_cell, np.arange(len(self.unit)))

    def tallies_of(self, place: IntArray) -> tuple[Tally, list[Tally]]:
        """Gallery images by place and identity, and by place, identity and each set of rule columns."""
        by_rule = [Tally(place, self.identity_of_gallery, codes) for codes in self.codes_of_gallery]
        return Tally(place, self.identity_of_gallery), by_rule

    def found(self, tallies: tuple[Tally, list[Tally]], place: IntArray, cell: IntArray) -> IntArray:
        """Positives that cells have in places: images of their identity, without those that a rule excludes."""
        everyone, by_rule = tallies
        identity = self.identity[cell]
        n_positives = everyone.of(place, identity)
        for sign, tally, codes in zip(self.signs, by_rule, self.codes, strict=True):
            n_positives = n_positives - sign * tally.of(place, identity, codes[cell])
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
