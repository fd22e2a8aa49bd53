"""The five signs that a threshold is too high for a data set, each with a rule and a sentence."""

from dataclasses import dataclass

from piq_bench.group.sweep import STEP, Level, Sweep
from piq_bench.records import Grouping

GIANT_SHARE_DIVISOR = 100  # a group of more than 1 % of all images
GIANT_IMAGES = 50
LOST_SHARE_DIVISOR = 100  # more than 1 % of queries
EDGE_FACTOR = 3


@dataclass(frozen=True)
class GroupWarning:
    """One rule that the groups at the chosen threshold break."""

    code: str
    text: str


def warnings_of(sweep: Sweep, grouping: Grouping) -> tuple[GroupWarning, ...]:
    """All that hold at the grouping's threshold, in the order of the rules.

    Without chaining (mode "neighbours") the size of components says nothing, and only what spans sources and what
    queries lose is judged.
    """
    level = sweep.at(grouping.threshold)
    if level is None:
        raise ValueError(f"the sweep has no threshold {grouping.threshold}")
    if grouping.mode == "neighbours":
        found = [across_sources_directly(level), lost(level.queries_lost_directly, sweep)]
    else:
        found = [
            giant(level, sweep),
            across_sources(level),
            chained(level),
            lost(level.queries_lost, sweep),
            edge(level, sweep.at(grouping.threshold + STEP)),
        ]
    return tuple(warning for warning in found if warning)


def giant(level: Level, sweep: Sweep) -> GroupWarning | None:
    """One group holds more than 1 % of the images, and more than 50."""
    if level.largest <= GIANT_IMAGES or level.largest * GIANT_SHARE_DIVISOR <= sweep.images:
        return None
    text = f"one group holds {level.largest} of {sweep.images} images; unlike images are probably chained together"
    return GroupWarning("giant-group", text)


def across_sources(level: Level) -> GroupWarning | None:
    """A group holds images of two sources."""
    if not level.groups_across_sources:
        return None
    text = f"{level.groups_across_sources} groups span several sources, one of them {level.most_sources}"
    return GroupWarning("group-across-sources", text)


def across_sources_directly(level: Level) -> GroupWarning | None:
    """Two images of different sources are neighbours."""
    if not level.pairs_across_sources:
        return None
    return GroupWarning("pair-across-sources", f"{level.pairs_across_sources} pairs of hashes join two sources")


def chained(level: Level) -> GroupWarning | None:
    """More than half of the pairs that share a group are further apart than the threshold."""
    if 2 * level.pairs_beyond <= level.same_group_pairs:
        return None
    text = (
        f"{level.pairs_beyond} of {level.same_group_pairs} pairs of images of one group are further apart than the "
        "threshold: chaining joined them"
    )
    return GroupWarning("mostly-chained", text)


def lost(queries_lost: int | None, sweep: Sweep) -> GroupWarning | None:
    """More than 1 % of the queries lose their last positive."""
    if not queries_lost or queries_lost * LOST_SHARE_DIVISOR <= (sweep.queries_with_positives or 0):
        return None
    text = f"{queries_lost} of {sweep.queries_with_positives} queries lose their last positive and would not be scored"
    return GroupWarning("queries-lost", text)


def edge(level: Level, higher: Level | None) -> GroupWarning | None:
    """Two bits more make the largest group more than three times as large."""
    if higher is None or level.largest < 2 or higher.largest <= EDGE_FACTOR * level.largest:
        return None
    text = (
        f"the largest group grows from {level.largest} to {higher.largest} images between t = {level.threshold} and "
        f"t = {higher.threshold}: the threshold is near the edge"
    )
    return GroupWarning("near-the-edge", text)
