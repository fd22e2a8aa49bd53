"""Computes figures of the near-duplicate groups at thresholds t = 0, 1, 2, ... 12, to choose a threshold by.

All pairs are found once, at the highest threshold, and counted by distance block by block; no list of them is kept.
Distances of phash are even, since every hash that is linked has 32 bits set, so an odd threshold gives the groups of
the even one below it and is left out. Other hashes have odd distances too, so that every threshold counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.group.components import Forest, first_rows
from piq_bench.group.farthest_pair import GrowingGroup
from piq_bench.group.nodes import FindPairs, Nodes, near_nodes
from piq_bench.group.pairs import near_pairs
from piq_bench.group.positives import Positives, SignedCodes
from piq_bench.records import BoolArray, IntArray

HIGHEST_SHOWN = 12
EDGE = 2  # bits above the chosen threshold, where its groups must not be much larger


@dataclass(frozen=True, eq=False)
class ImageRoles:
    """The roles of test images in retrieval. All arrays have shape (n_images,).

    Attributes:
        query: whether the image is a query.
        gallery: whether the image is in the gallery and not junk.
        identity: index, -1 where not known; None if the data set has none.
        source: index, -1 where not known; None if the data set has none.
        excluded: signed codes of the rules that exclude positives, from `positives.signed_codes`.
    """

    query: BoolArray
    gallery: BoolArray
    identity: IntArray | None
    source: IntArray | None
    excluded: Sequence[SignedCodes] = ()


@dataclass(frozen=True)
class Level:
    """Figures of the groups at one threshold; None where the data set lacks the labels that a figure needs.

    Attributes:
        threshold: Hamming distance, inclusive.
        groups: groups with at least two images.
        grouped_images: images in these groups.
        largest: images in the largest group; 1 if there is no group.
        farthest: the greatest distance of two images of the largest group; of several largest, the first one's.
        farthest_exact: whether `farthest` is exact; else it is a lower bound, as the group is too large to compare all.
        same_group_pairs: pairs of images of the same group.
        pairs_beyond: pairs of the same group further apart than the threshold, which only chaining has joined.
        groups_across_sources, most_sources: groups with images of several sources; the most sources of one group.
        pairs_across_sources: pairs of hashes within the threshold that join two sources.
        groups_across_identities, most_identities: groups with images of several identities; the most of one group.
        gallery_excluded: gallery images excluded for at least one query, if groups are excluded.
        gallery_excluded_directly: the same figure if only neighbours are excluded, without chaining.
        exclusions: excluded gallery images summed over queries, if groups are excluded.
        exclusions_directly: the same figure if only neighbours are excluded.
        queries_lost: queries that have a positive and lose their last one, if groups are excluded.
        queries_lost_directly: the same figure if only neighbours are excluded.
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
    """Figures by rising threshold, and the totals that they are part of.

    Attributes:
        levels: one per threshold up to t = 12, and as many more as are needed to judge the chosen threshold by.
        images: images of the test set.
        queries: query images that take part in retrieval.
        gallery: gallery images that take part in retrieval.
        queries_with_positives: queries with a positive before any exclusion; None without identities.
        step: distances are multiples of this, and so are the thresholds of `levels`.
    """

    levels: tuple[Level, ...]
    images: int
    queries: int
    gallery: int
    queries_with_positives: int | None
    step: int = 2

    def level_at(self, threshold: int) -> Level | None:
        """The level of a threshold; that of the even one below if the threshold is odd and all distances are even."""
        return next((level for level in self.levels if level.threshold == threshold - threshold % self.step), None)


def sweep(
    nodes: Nodes, roles: ImageRoles, *, threshold: int, step: int = 2, find_pairs: FindPairs = near_pairs
) -> Sweep:
    """Computes the figures for t = 0, `step`, ... 12, and up to `threshold` + 2 if that is more.

    Args:
        nodes: the nodes of the near-duplicate graph.
        roles: the roles of the images.
        threshold: the chosen threshold.
        step: a number that divides all distances: 2 if they are even, otherwise 1.
        find_pairs: finds the pairs of hashes within a distance.
    """
    n_levels = 1 + max(HIGHEST_SHOWN, threshold + EDGE) // step
    direct = DirectLinks(nodes, roles, n_levels)
    by_distance = [Forest(nodes.n_nodes) for _ in range(n_levels)]
    for first, second, distance in near_nodes(nodes, (n_levels - 1) * step, find_pairs):
        level = (distance // step).astype(np.int64)
        direct.add(first, second, level)
        for number in np.unique(level).tolist():
            by_distance[number].add(first[level == number], second[level == number])
    joined = Forest(nodes.n_nodes)
    growing = GrowingGroup()
    levels = []
    for number, forest in enumerate(by_distance):
        joined.add(np.arange(nodes.n_nodes), first_rows(forest.merge()))
        levels.append(level_of(number, number * step, joined.merge(), nodes, roles, direct, growing))
    return Sweep(
        levels=tuple(levels),
        images=len(nodes.of_image),
        queries=int(roles.query.sum()),
        gallery=int(roles.gallery.sum()),
        queries_with_positives=direct.positives.queries_with_positives if direct.positives else None,
        step=step,
    )


class DirectLinks:
    """Counts of what is linked without chaining, by level (the distance in steps); pairs are added block by block."""

    def __init__(self, nodes: Nodes, roles: ImageRoles, n_levels: int) -> None:
        n_nodes = nodes.n_nodes
        self.size = nodes.size
        self.queries = np.bincount(nodes.of_image[roles.query], minlength=n_nodes)
        self.gallery = np.bincount(nodes.of_image[roles.gallery], minlength=n_nodes)
        self.pairs = np.zeros(n_levels, dtype=np.int64)
        self.pairs[0] = (nodes.size * (nodes.size - 1) // 2).sum()
        self.exclusions = np.zeros(n_levels, dtype=np.int64)
        self.exclusions[0] = (self.queries * self.gallery).sum()
        self.nearest_query = np.where(self.queries > 0, 0, n_levels)  # (n_nodes,) level of each node's nearest query
        self.sources = SourceRange(nodes, roles.source, n_levels) if roles.source is not None else None
        self.positives = (
            Positives(nodes.of_image, roles.query, roles.gallery, roles.identity, roles.excluded, n_levels)
            if roles.identity is not None
            else None
        )

    def add(self, first: IntArray, second: IntArray, level: IntArray) -> None:
        """Adds pairs of nodes with their levels; each pair must be added once."""
        n_levels = len(self.pairs)
        self.pairs += sums(level, self.size[first] * self.size[second], n_levels)
        if self.sources:
            self.sources.add(first, second, level)
        for left, right in ((first, second), (second, first)):
            with_query = np.flatnonzero(self.queries[left])
            here, there, at_level = left[with_query], right[with_query], level[with_query]
            self.exclusions += sums(at_level, self.queries[here] * self.gallery[there], n_levels)
            np.minimum.at(self.nearest_query, there, at_level)
            if self.positives:
                self.positives.exclude(here, there, at_level)


class SourceRange:
    """Counts pairs of nodes that join two sources, by level."""

    def __init__(self, nodes: Nodes, source: IntArray, n_levels: int) -> None:
        known = source >= 0
        self.lowest = np.full(nodes.n_nodes, np.iinfo(np.int64).max)
        self.highest = np.full(nodes.n_nodes, -1)
        np.minimum.at(self.lowest, nodes.of_image[known], source[known])
        np.maximum.at(self.highest, nodes.of_image[known], source[known])
        self.across = np.zeros(n_levels, dtype=np.int64)
        self.across[0] = ((self.highest > self.lowest) & (self.highest >= 0)).sum()

    def add(self, first: IntArray, second: IntArray, level: IntArray) -> None:
        """Adds pairs of nodes with their levels; each pair must be added once."""
        low = np.minimum(self.lowest[first], self.lowest[second])
        high = np.maximum(self.highest[first], self.highest[second])
        self.across += np.bincount(level[(high > low) & (high >= 0)], minlength=len(self.across))


def level_of(
    number: int,
    threshold: int,
    labels: IntArray,
    nodes: Nodes,
    roles: ImageRoles,
    direct: DirectLinks,
    growing: GrowingGroup,
) -> Level:
    """Computes all figures of one threshold from the component of each node."""
    group = first_rows(labels[nodes.of_image])
    sizes = np.bincount(group)
    several = sizes > 1
    same_group_pairs = int((sizes * (sizes - 1) // 2).sum())
    largest = int(sizes.argmax()) if several.any() else None
    farthest = None
    if largest is not None:
        farthest = growing.farthest_pair(np.unique(nodes.phash[nodes.of_image[group == largest]]))
    queries = np.bincount(group[roles.query], minlength=len(sizes))
    gallery = np.bincount(group[roles.gallery], minlength=len(sizes))
    across_sources = n_labels(group, roles.source)
    across_identities = n_labels(group, roles.identity)
    positives = direct.positives
    return Level(
        threshold=threshold,
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
        queries_lost=positives.queries_lost_to_groups(group) if positives else None,
        queries_lost_directly=positives.queries_lost_to_neighbours(number) if positives else None,
    )


def n_labels(group: IntArray, label: IntArray | None) -> IntArray | None:
    """Number of different known labels in each group."""
    if label is None:
        return None
    known = label >= 0
    span = int(label.max(initial=0)) + 1
    return np.bincount(np.unique(group[known] * span + label[known]) // span).astype(np.int64)


def sums(level: IntArray, amounts: NDArray[np.int64], n_levels: int) -> IntArray:
    """Sums amounts by level; float64 holds them exactly."""
    return np.bincount(level, weights=amounts, minlength=n_levels).astype(np.int64)
