"""Who is a candidate: every rule against its definition, image by image."""

from dataclasses import replace
from typing import Literal

import builders
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.records import GALLERY, NO_IDENTITY, QUERY, SAME_CAMERA, SAME_GROUP, Benchmark, Groups, Rule
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.ragged import Ragged, union

COLUMNS = ("identity", "group", "camera", "sequence", "source", "clothes", "tracklet")
CLOTH_CHANGING = (SAME_CAMERA, Rule(("identity", "clothes")))  # LTCC as its code bases have it: camera or clothes
STRICT_CLOTH_CHANGING = (Rule(("identity", "camera", "clothes")),)
SAME_CLOTHES = (SAME_CAMERA, Rule(("identity",), ("clothes",)))
OWN_TRACKLET = (Rule(("tracklet",)),)
SYSU = (Rule(("place",)),)  # cameras 2 and 3 stand in one place
Mode = Literal["components", "neighbours"] | None


def cells(benchmark: Benchmark, column: str) -> list[str]:
    """A column as text, "" where unknown."""
    if column == "identity":
        return ["" if i == NO_IDENTITY else str(i) for i in benchmark.identity]
    if column == "group":
        assert benchmark.groups is not None
        return ["" if g < 0 else str(g) for g in benchmark.groups.group]
    values: list[str] = list(benchmark.columns[column] if column in benchmark.columns else getattr(benchmark, column))
    if column == "sequence":
        assert benchmark.source is not None
        return [f"{source}/{value}" if value else "" for source, value in zip(benchmark.source, values, strict=True)]
    return values


def excludes(benchmark: Benchmark, rule: Rule, query: int, image: int) -> bool:
    """The definition: both agree in some columns, and differ in others; an empty cell does neither."""
    for column in rule.agree:
        if column == "group" and benchmark.groups is not None and benchmark.groups.pairs is not None:
            if sorted([query, image]) not in benchmark.groups.pairs.tolist():
                return False
        elif (values := cells(benchmark, column))[query] == "" or values[query] != values[image]:
            return False
    return all("" != (v := cells(benchmark, c))[query] != v[image] != "" for c in rule.differ)


def lists(ragged: Ragged, gallery: np.ndarray) -> list[list[int]]:
    return [gallery[ragged[query]].tolist() for query in range(len(ragged))]


def random_benchmark(seed: int, mode: Mode, exclude: tuple[Rule, ...]) -> Benchmark:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, mode=mode)
    n = benchmark.images.size

    def texts(prefix: str, n_values: int) -> np.ndarray:
        known = rng.random(n) < 0.8
        return np.array([f"{prefix}{v}" if k else "" for v, k in zip(rng.integers(0, n_values, n), known, strict=True)])

    columns = {"clothes": texts("o", 2), "tracklet": texts("t", 6), "place": texts("p", 3)}
    return replace(benchmark, columns={k: v.astype(object) for k, v in columns.items()}, exclude=exclude)


def check(benchmark: Benchmark) -> None:
    found = find_candidates(benchmark)
    gallery = [g for g in np.flatnonzero(benchmark.split == GALLERY).tolist() if not benchmark.junk[g]]
    queries = np.flatnonzero((benchmark.split == QUERY) & (benchmark.identity != NO_IDENTITY) & ~benchmark.junk)
    assert found.query.tolist() == queries.tolist()
    assert found.gallery.tolist() == gallery
    plain = [rule for rule in benchmark.exclude if "group" not in rule.columns]
    grouped = [rule for rule in benchmark.exclude if "group" in rule.columns]
    ignored = [[g for g in gallery if any(excludes(benchmark, rule, q, g) for rule in plain)] for q in queries.tolist()]
    near = [[g for g in gallery if any(excludes(benchmark, rule, q, g) for rule in grouped)] for q in queries.tolist()]
    own = [[g for g in gallery if benchmark.identity[g] == benchmark.identity[q]] for q in queries.tolist()]
    assert lists(found.ignored, found.gallery) == ignored
    assert lists(found.duplicates, found.gallery) == [
        [g for g in some if g not in out] for some, out in zip(near, ignored, strict=True)
    ]
    assert lists(found.positives, found.gallery) == [
        [g for g in some if g not in out] for some, out in zip(own, ignored, strict=True)
    ]


@pytest.mark.parametrize(
    "rules",
    [
        (),
        (SAME_CAMERA,),
        (SAME_GROUP, SAME_CAMERA),
        CLOTH_CHANGING,
        STRICT_CLOTH_CHANGING,
        SAME_CLOTHES,
        OWN_TRACKLET,
        SYSU,
        (Rule(("group", "camera")),),
    ],
    ids=["none", "market", "group and camera", "cloth-changing", "strict", "same clothes", "tracklet", "SYSU", "joint"],
)
@pytest.mark.parametrize("mode", ["components", "neighbours"])
def test_the_settings_of_the_field(rules: tuple[Rule, ...], mode: Mode) -> None:
    for seed in range(5):
        check(random_benchmark(seed, mode, rules))


@given(
    st.integers(0, 10**6),
    st.sampled_from(["components", "neighbours"]),
    st.lists(st.tuples(st.sets(st.sampled_from(COLUMNS), min_size=1, max_size=3), st.sets(st.sampled_from(COLUMNS)))),
)
def test_any_rules_mean_what_they_say(seed: int, mode: Mode, drawn: list[tuple[set[str], set[str]]]) -> None:
    rules = tuple(Rule(tuple(sorted(agree)), tuple(sorted(differ - agree - {"group"}))) for agree, differ in drawn[:4])
    check(random_benchmark(seed, mode, rules))


def test_a_rule_about_groups_waits_for_groups() -> None:
    benchmark = random_benchmark(0, "components", (SAME_CAMERA,))
    assert isinstance(benchmark.groups, Groups)
    assert "group" in benchmark.rule_columns
    assert "group" not in replace(benchmark, groups=None).rule_columns
    with pytest.raises(KeyError, match="colour"):
        benchmark.codes("colour")


@given(st.lists(st.tuples(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))))
def test_the_union_of_lists_is_that_of_sets(pairs: list[tuple[set[int], set[int]]]) -> None:
    def ragged(sets: list[set[int]]) -> Ragged:
        values = [value for each in sets for value in sorted(each)]
        return Ragged(np.cumsum([0, *map(len, sets)]), np.array(values, dtype=np.int32))

    found = union(ragged([one for one, _ in pairs]), ragged([other for _, other in pairs]))
    assert [found[query].tolist() for query in range(len(found))] == [sorted(one | other) for one, other in pairs]
    assert found.values.dtype == np.int32


@pytest.mark.parametrize("rule", [SAME_CAMERA, Rule(("camera",), ("clothes",)), Rule(("camera", "group"))])
def test_a_rule_that_another_one_contains_changes_nothing(rule: Rule) -> None:
    for seed in range(5):
        both = random_benchmark(seed, "components", (Rule(("camera",)), rule))
        one = replace(both, exclude=(Rule(("camera",)),))
        for name in ("positives", "ignored", "duplicates"):
            first, second = (getattr(find_candidates(each), name) for each in (both, one))
            assert lists(first, np.arange(99)) == lists(second, np.arange(99))
