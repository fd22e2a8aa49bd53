from types import SimpleNamespace
from typing import cast

import pytest

from piq_bench.group.sweep import Level, Sweep
from piq_bench.group.warnings import mostly_chained, warnings_of
from piq_bench.records import Grouping

CALM = {
    "threshold": 6, "groups": 10, "grouped_images": 60, "largest": 12, "farthest": 8, "farthest_exact": True,
    "same_group_pairs": 100, "pairs_beyond": 50, "groups_across_sources": 0, "most_sources": 1,
    "pairs_across_sources": 0, "groups_across_identities": 3, "most_identities": 2, "gallery_excluded": 20,
    "gallery_excluded_directly": 15, "exclusions": 40, "exclusions_directly": 30, "queries_lost": 2,
    "queries_lost_directly": 2,
}  # fmt: skip


def found(change: dict[str, int | None], higher: dict[str, int] | None = None, mode: str = "components") -> list[str]:
    """Codes at t = 6, after some figures there and at t = 8 have been changed."""
    levels = (Level(**{**CALM, **change}), Level(**{**CALM, "threshold": 8, "largest": 36, **(higher or {})}))  # type: ignore[arg-type]
    sweep = Sweep(levels, images=5000, queries=250, gallery=4750, queries_with_positives=200)
    grouping = Grouping(threshold=6, mode="neighbours" if mode == "neighbours" else "components")
    return [warning.code for warning in warnings_of(sweep, grouping)]


def test_figures_at_their_bounds_give_no_warning() -> None:
    assert found({}) == []
    assert found({}, mode="neighbours") == []


@pytest.mark.parametrize(
    ("change", "higher", "code"),
    [
        ({"largest": 51}, {"largest": 51}, "giant-group"),  # more than 1 % of 5,000, and more than 50
        ({"groups_across_sources": 1, "most_sources": 2}, {}, "group-across-sources"),
        ({"pairs_beyond": 51}, {}, "mostly-chained"),
        ({"queries_lost": 3}, {}, "queries-lost"),  # more than 1 % of 200
        ({}, {"largest": 37}, "near-the-edge"),  # more than 3 times 12
    ],
)
def test_each_rule_warns_just_beyond_its_bound(
    change: dict[str, int | None], higher: dict[str, int], code: str
) -> None:
    assert found(change, higher) == [code]


def test_a_large_share_of_few_images_is_no_giant() -> None:
    level = Level(**{**CALM, "largest": 50})  # type: ignore[arg-type]
    sweep = Sweep((level,), images=60, queries=6, gallery=54, queries_with_positives=200)
    assert warnings_of(sweep, Grouping()) == ()


def test_unknown_figures_give_no_warning() -> None:
    assert found({"groups_across_sources": None, "queries_lost": None}) == []
    assert found({"pairs_across_sources": None, "queries_lost_directly": None}, mode="neighbours") == []


def test_without_chaining_no_warning_is_about_chains() -> None:
    chained: dict[str, int | None] = {
        "largest": 2000,
        "pairs_beyond": 99,
        "groups_across_sources": 4,
        "queries_lost": 99,
    }
    assert found(chained, mode="neighbours") == []
    assert found({"pairs_across_sources": 1}, mode="neighbours") == ["pair-across-sources"]
    assert found({"queries_lost_directly": 3}, mode="neighbours") == ["queries-lost"]


def test_an_odd_threshold_has_the_warnings_of_the_even_one_below() -> None:
    level = Level(**{**CALM, "largest": 51})  # type: ignore[arg-type]
    sweep = Sweep((level,), images=5000, queries=250, gallery=4750, queries_with_positives=200)
    assert [warning.code for warning in warnings_of(sweep, Grouping(threshold=7))] == ["giant-group"]
    with pytest.raises(ValueError, match="no threshold 9"):
        warnings_of(sweep, Grouping(threshold=9))


@pytest.mark.parametrize(("beyond", "warns"), [(0, False), (4, False), (5, False), (6, True), (10, True)])
def test_groups_are_mostly_chained_from_more_than_half_of_their_pairs(beyond: int, warns: bool) -> None:
    level = cast("Level", SimpleNamespace(pairs_beyond=beyond, same_group_pairs=10))
    assert (mostly_chained(level) is not None) == warns
