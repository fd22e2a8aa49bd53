"""Which queries lose their last positive to the exclusion of near-duplicates, by groups and by neighbours.

Queries are taken together where they share unit, identity and camera: they have the same positives.
"""

from collections.abc import Sequence

import numpy as np

from piq_bench.records import BoolArray, IntArray


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
        camera: IntArray | None,
        n_levels: int,
    ) -> None:
        self.identity_of_gallery = identity[gallery]
        self.camera_of_gallery = None if camera is None else camera[gallery]
        self.gallery = gallery
        asked = query & (identity >= 0)
        rows = np.stack([unit[asked], identity[asked], camera[asked] if camera is not None else identity[asked]])
        cells, self.members, self.size = np.unique(rows, axis=1, return_inverse=True, return_counts=True)
        self.members = self.members.reshape(-1)  # (n_queries,) cell of each
        self.rows = np.flatnonzero(asked)
        self.unit, self.identity, self.camera = cells  # (n_cells,), units ascending
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

    def tallies_of(self, place: IntArray) -> tuple[Tally, Tally | None]:
        """Gallery images by place and identity, and by place, identity and camera."""
        by_camera = None
        if self.camera_of_gallery is not None:
            by_camera = Tally(place, self.identity_of_gallery, self.camera_of_gallery)
        return Tally(place, self.identity_of_gallery), by_camera

    def found(self, tallies: tuple[Tally, Tally | None], place: IntArray, cell: IntArray) -> IntArray:
        """Positives that cells have in places: of their identity, but not of their own camera."""
        everyone, by_camera = tallies
        found = everyone.of(place, self.identity[cell])
        return found if by_camera is None else found - by_camera.of(place, self.identity[cell], self.camera[cell])
