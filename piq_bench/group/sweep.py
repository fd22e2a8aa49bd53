"""What near-duplicate groups would be at t = 0, 2, ... 12: the figures to choose a threshold by.

All pairs are found once, at the highest threshold, and added up by their distance as they stream by; no list of them
is ever kept. Distances are even, since every hash that links has 32 bits set, so odd thresholds add nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.group.components import Forest, first_rows
from piq_bench.group.farthest import GrowingGroup
from piq_bench.group.positives import Positives, SignedCodes
from piq_bench.group.units import Units, near_units
from piq_bench.records import BoolArray, IntArray

STEP = 2
HIGHEST_SHOWN = 12


@dataclass(frozen=True, eq=False)
class ImageRoles:
    """What the images of a test set are to each other in retrieval. All arrays of shape (n_images,).

    Attributes:
        query: images that are searched for.
        gallery: images that can be found (junk cannot).
        identity: index, -1 where not known; None where the data set knows none.
        source: index, -1 where not known; None where the data set knows none.
        excluded: signed codes of the rules that exclude positives, as from `positives.signed_codes`.
    """

    query: BoolArray
    gallery: BoolArray
    identity: IntArray | None
    source: IntArray | None
    excluded: Sequence[SignedCodes] = ()


@dataclass(frozen=True)
class Level:
    """The groups at one threshold; a figure is None where the data set does not say what it needs.

    Attributes:
        threshold: Hamming distance, inclusive.
        groups: with at least two images.
        grouped_images: images in them.
        largest: images in the largest group; 1 if there is none.
        farthest: the greatest distance of two images of the largest group, the first one of several.
        farthest_exact: false if it is only a lower bound, the group being too large to compare all.
        same_group_pairs: pairs of images of one group.
        pairs_beyond: those of them that chaining alone has joined: further apart than the threshold.
        groups_across_sources, most_sources: groups with images of several sources; the most in one group.
        pairs_across_sources: pairs of hashes within the threshold that join two sources.
        groups_across_identities, most_identities: the same for identities.
        gallery_excluded: gallery images left out for at least one query, by groups.
        gallery_excluded_directly: the same by neighbours, without chaining.
        exclusions: gallery images left out, summed over queries, by groups.
        exclusions_directly: the same by neighbours.
        queries_lost: queries that had a positive and have none left, by groups.
        queries_lost_directly: the same by neighbours.
    """

    threshold: int
    groups: int
    grouped_images: int
    largest: int
    farthest: int | None
    farthest_exact: bool
    same_group_pairs: int
    pairs_beyond: int
    groups_across_sources: int | None
    most_sources: int | None
    pairs_across_sources: int | None
    groups_across_identities: int | None
    most_identities: int | None
    gallery_excluded: int
    gallery_excluded_directly: int
    exclusions: int
    exclusions_directly: int
    queries_lost: int | None
    queries_lost_directly: int | None


@dataclass(frozen=True)
class Sweep:
    """Levels by rising threshold, and what they are out of.

    Attributes:
        levels: the first ones up to t = 12 are for show; one more may follow, to judge the edge at t = 12.
        images: of the test set.
        queries: query images that take part in retrieval.
        gallery: gallery images that take part in retrieval.
        queries_with_positives: before any exclusion; None without identities.
    """

    levels: tuple[Level, ...]
    images: int
    queries: int
    gallery: int
    queries_with_positives: int | None

    def at(self, threshold: int) -> Level | None:
        """The level of a threshold; an odd one is as the even one below it."""
        return next((level for level in self.levels if level.threshold == threshold - threshold % STEP), None)


def sweep(units: Units, roles: ImageRoles, *, threshold: int) -> Sweep:
    """Figures for t = 0, 2, ... 12, and two beyond `threshold` if that is more."""
    n_levels = 1 + max(HIGHEST_SHOWN, threshold - threshold % STEP + STEP) // STEP
    direct = DirectLinks(units, roles, n_levels)
    by_distance = [Forest(units.n_units) for _ in range(n_levels)]
    for first, second, distance in near_units(units, (n_levels - 1) * STEP):
        level = (distance // STEP).astype(np.int64)
        direct.add(first, second, level)
        for number in np.unique(level).tolist():
            by_distance[number].add(first[level == number], second[level == number])
    joined = Forest(units.n_units)
    growing = GrowingGroup()
    levels = []
    for number, forest in enumerate(by_distance):
        joined.add(np.arange(units.n_units), first_rows(forest.merge()))
        levels.append(level_of(number, joined.merge(), units, roles, direct, growing))
    return Sweep(
        levels=tuple(levels),
        images=len(units.of_image),
        queries=int(roles.query.sum()),
        gallery=int(roles.gallery.sum()),
        queries_with_positives=direct.positives.queries_with_positives if direct.positives else None,
    )


class DirectLinks:
    """What is linked without chaining, added up by level (half the distance) while pairs stream by."""

    def __init__(self, units: Units, roles: ImageRoles, n_levels: int) -> None:
        n_units = units.n_units
        self.size = units.size
        self.queries = np.bincount(units.of_image[roles.query], minlength=n_units)
        self.gallery = np.bincount(units.of_image[roles.gallery], minlength=n_units)
        self.pairs = np.zeros(n_levels, dtype=np.int64)
        self.pairs[0] = (units.size * (units.size - 1) // 2).sum()
        self.exclusions = np.zeros(n_levels, dtype=np.int64)
        self.exclusions[0] = (self.queries * self.gallery).sum()
        self.nearest_query = np.where(self.queries > 0, 0, n_levels)  # by unit: the level of its nearest query
        self.sources = SourceRange(units, roles.source, n_levels) if roles.source is not None else None
        self.positives = (
            Positives(units.of_image, roles.query, roles.gallery, roles.identity, roles.excluded, n_levels)
            if roles.identity is not None
            else None
        )

    def add(self, first: IntArray, second: IntArray, level: IntArray) -> None:
        """Pairs of units, each once."""
        n_levels = len(self.pairs)
        self.pairs += sums(level, self.size[first] * self.size[second], n_levels)
        if self.sources:
            self.sources.add(first, second, level)
        for one, other in ((first, second), (second, first)):
            asked = np.flatnonzero(self.queries[one])
            here, there, near = one[asked], other[asked], level[asked]
            self.exclusions += sums(near, self.queries[here] * self.gallery[there], n_levels)
            np.minimum.at(self.nearest_query, there, near)
            if self.positives:
                self.positives.remove(here, there, near)


class SourceRange:
    """Counts pairs of units that join two sources."""

    def __init__(self, units: Units, source: IntArray, n_levels: int) -> None:
        known = source >= 0
        self.lowest = np.full(units.n_units, np.iinfo(np.int64).max)
        self.highest = np.full(units.n_units, -1)
        np.minimum.at(self.lowest, units.of_image[known], source[known])
        np.maximum.at(self.highest, units.of_image[known], source[known])
        self.across = np.zeros(n_levels, dtype=np.int64)
        self.across[0] = ((self.highest > self.lowest) & (self.highest >= 0)).sum()

    def add(self, first: IntArray, second: IntArray, level: IntArray) -> None:
        """Pairs of units, each once."""
        low = np.minimum(self.lowest[first], self.lowest[second])
        high = np.maximum(self.highest[first], self.highest[second])
        self.across += np.bincount(level[(high > low) & (high >= 0)], minlength=len(self.across))


def level_of(
    number: int, labels: IntArray, units: Units, roles: ImageRoles, direct: DirectLinks, growing: GrowingGroup
) -> Level:
    """All figures of one threshold, from the component of each unit."""
    group = first_rows(labels[units.of_image])
    sizes = np.bincount(group)
    several = sizes > 1
    same_group_pairs = int((sizes * (sizes - 1) // 2).sum())
    largest = int(sizes.argmax()) if several.any() else None
    farthest = growing.of(np.unique(units.phash[units.of_image[group == largest]])) if largest is not None else None
    queries = np.bincount(group[roles.query], minlength=len(sizes))
    gallery = np.bincount(group[roles.gallery], minlength=len(sizes))
    across_sources = members(group, roles.source)
    across_identities = members(group, roles.identity)
    positives = direct.positives
    return Level(
        threshold=number * STEP,
        groups=int(several.sum()),
        grouped_images=int(sizes[several].sum()),
        largest=int(sizes.max()),
        farthest=farthest.distance if farthest else None,
        farthest_exact=farthest.exact if farthest else True,
        same_group_pairs=same_group_pairs,
        pairs_beyond=same_group_pairs - int(direct.pairs[: number + 1].sum()),
        groups_across_sources=None if across_sources is None else int((across_sources > 1).sum()),
        most_sources=None if across_sources is None else int(across_sources.max(initial=0)),
        pairs_across_sources=int(direct.sources.across[: number + 1].sum()) if direct.sources else None,
        groups_across_identities=None if across_identities is None else int((across_identities > 1).sum()),
        most_identities=None if across_identities is None else int(across_identities.max(initial=0)),
        gallery_excluded=int(gallery[queries > 0].sum()),
        gallery_excluded_directly=int(direct.gallery[direct.nearest_query <= number].sum()),
        exclusions=int((queries * gallery).sum()),
        exclusions_directly=int(direct.exclusions[: number + 1].sum()),
        queries_lost=positives.lost_in_groups(group) if positives else None,
        queries_lost_directly=positives.lost_directly(number) if positives else None,
    )


def members(group: IntArray, label: IntArray | None) -> IntArray | None:
    """How many different known labels each group holds."""
    if label is None:
        return None
    known = label >= 0
    span = int(label.max(initial=0)) + 1
    return np.bincount(np.unique(group[known] * span + label[known]) // span).astype(np.int64)


def sums(level: IntArray, amounts: NDArray[np.int64], n_levels: int) -> IntArray:
    """Amounts added up by level; float64 holds them exactly."""
    return np.bincount(level, weights=amounts, minlength=n_levels).astype(np.int64)
