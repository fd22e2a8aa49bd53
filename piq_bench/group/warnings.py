"""Warns of five signs that the grouping threshold is too high for a data set."""

from dataclasses import dataclass

from piq_bench.group.sweep import EDGE, Level, Sweep
from piq_bench.records import Grouping

GIANT_SHARE_DIVISOR = 100  # a giant group holds more than 1 % of all images ...
GIANT_IMAGES = 50  # ... and more than this many
LOST_SHARE_DIVISOR = 100  # more than 1 % of the queries with positives are lost
EDGE_FACTOR = 3  # the largest group grows more than this many times with the next threshold


@dataclass(frozen=True)
class GroupWarning:
    """A sign that the chosen threshold is too high: a stable code and a sentence."""

    code: str
    text: str


def warnings_of(sweep: Sweep, grouping: Grouping) -> tuple[GroupWarning, ...]:
    """The warnings that apply at the grouping's threshold, in a fixed order.

    In mode "neighbours" links do not chain and the size of groups says nothing, so only pairs across sources and lost
    queries are checked.
    """
    level = sweep.level_at(grouping.max_bits)
    if level is None:
        raise ValueError(f"the sweep has no threshold {grouping.threshold}")
    if grouping.mode == "neighbours":
        found = [pair_across_sources(level), queries_lost(level.queries_lost_directly, sweep)]
    else:
        found = [
            giant_group(level, sweep),
            group_across_sources(level),
            mostly_chained(level),
            queries_lost(level.queries_lost, sweep),
            near_the_edge(level, sweep.level_at(grouping.max_bits + EDGE)),
        ]
    return tuple(warning for warning in found if warning)


def giant_group(level: Level, sweep: Sweep) -> GroupWarning | None:
    """Warns if one group holds more than 1 % of the images, and more than 50."""
    if level.largest <= GIANT_IMAGES or level.largest * GIANT_SHARE_DIVISOR <= sweep.images:
        return None
    text = f"one near-duplicate group holds {level.largest} of {sweep.images} images; it probably chains unlike images"
    return GroupWarning("giant-group", text)


def group_across_sources(level: Level) -> GroupWarning | None:
    """Warns if a group holds images of two sources."""
    if not level.groups_across_sources:
        return None
    text = f"{level.groups_across_sources} near-duplicate groups span several sources, up to {level.most_sources}"
    return GroupWarning("group-across-sources", text)


def pair_across_sources(level: Level) -> GroupWarning | None:
    """Warns if two images of different sources are near-duplicates."""
    if not level.pairs_across_sources:
        return None
    text = f"{level.pairs_across_sources} pairs of near-duplicate hashes join two sources"
    return GroupWarning("pair-across-sources", text)


def mostly_chained(level: Level) -> GroupWarning | None:
    """Warns if more than half of the pairs of the same group are further apart than the threshold."""
    if 2 * level.pairs_beyond <= level.same_group_pairs:
        return None
    text = (
        f"{level.pairs_beyond} of {level.same_group_pairs} pairs of images in the same group are further apart than "
        "the threshold; only chains of near-duplicates join them"
    )
    return GroupWarning("mostly-chained", text)


def queries_lost(n_lost: int | None, sweep: Sweep) -> GroupWarning | None:
    """Warns if more than 1 % of the queries with a positive lose their last one."""
    if not n_lost or n_lost * LOST_SHARE_DIVISOR <= (sweep.queries_with_positives or 0):
        return None
    text = f"{n_lost} of {sweep.queries_with_positives} queries lose their last positive and would not be scored"
    return GroupWarning("queries-lost", text)


def near_the_edge(level: Level, higher: Level | None) -> GroupWarning | None:
    """Warns if a threshold two bits higher makes the largest group more than three times as large."""
    if higher is None or level.largest < 2 or higher.largest <= EDGE_FACTOR * level.largest:
        return None
    text = (
        f"the largest group grows from {level.largest} to {higher.largest} images between t = {level.threshold} and "
        f"t = {higher.threshold}; the threshold is almost too high"
    )
    return GroupWarning("near-the-edge", text)
