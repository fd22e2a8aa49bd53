"""Comparisons: p-values and intervals against definitions computed by enumeration, and their error rates."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product

import builders
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.errors import BadUsage
from piq_bench.records import Benchmark, BoolArray, FloatArray
from piq_bench.scoring import compare as comparing
from piq_bench.scoring import swaps
from piq_bench.scoring.bootstrap import clusters_of, resampled
from piq_bench.scoring.compare import Comparison, Difference, Tallied, compare, holm, tallied
from piq_bench.scoring.records import Protocol
from piq_bench.scoring.score import score
from piq_bench.scoring.swaps import over_swaps
from piq_bench.scoring.tally import LabelTally, ReidTally

PROTOCOL = Protocol(version=1, ap="non-interpolated", grouping=None, exclude=())
SMALL = builders.Size(n_train=2, n_query=4, n_gallery=8, n_identities=3)


def systems(seed: int, size: builders.Size = SMALL) -> tuple[Benchmark, Tallied, Tallied]:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, size, unlabelled_queries=False)
    one, other = (tallied(benchmark, builders.submission(rng, benchmark)) for _ in range(2))
    return benchmark, one, other


def by_metric(result: Comparison, pair: int = 0) -> dict[str, Difference]:
    return {one.metric: one for one in result.pairs[pair].differences}


def exact_macro_f1(tally: LabelTally, other: LabelTally, swapped: tuple[bool, ...]) -> Fraction:
    """Macro F1 of the first submission, with the second one's answers in swapped clusters."""
    scores = []
    for label in range(tally.true.shape[1]):
        hits, given_it, having_it = (
            sum(int((theirs if swap else ours)[cluster, label]) for cluster, swap in enumerate(swapped))
            for ours, theirs in (
                (tally.hits, other.hits),
                (tally.predicted, other.predicted),
                (tally.true, other.true),
            )
        )
        if having_it:
            scores.append(Fraction(2 * hits, given_it + having_it))
    return sum(scores, Fraction(0)) / len(scores)


def exact_macro_map(tally: ReidTally, other: ReidTally, swapped: tuple[bool, ...]) -> Fraction:
    means = [
        Fraction(float((other if swapped[person] else tally).total["map"][person])) / int(n)
        for person, n in enumerate(tally.n_queries)
        if n
    ]
    return sum(means, Fraction(0)) / len(means)


@pytest.mark.parametrize("seed", range(4))
def test_p_values_equal_those_of_an_enumeration_of_all_swaps(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark, one, other = systems(seed)
    n_clusters = clusters_of(benchmark).total
    assert n_clusters <= 12
    masks = list(product([False, True], repeat=n_clusters))

    def over_all_swaps(estimate: Callable[[BoolArray], object], *_: object, **__: object) -> list[object]:
        return [estimate(np.array(masks[::2])), estimate(np.array(masks[1::2]))]

    monkeypatch.setattr(comparing, "over_swaps", over_all_swaps)
    found = by_metric(compare(benchmark, [one, other], n_resamples=1, n_swaps=len(masks)))
    for task in one.labels:
        exact = {mask: exact_macro_f1(one.labels[task], other.labels[task], mask) for mask in masks}
        check(found[f"f1.{task}"], exact, masks)
    assert one.reid is not None
    assert other.reid is not None
    check(found["reid.macro_map"], {mask: exact_macro_map(one.reid, other.reid, mask) for mask in masks}, masks)


def check(found: Difference, exact: dict[tuple[bool, ...], Fraction], masks: list[tuple[bool, ...]]) -> None:
    opposite = {mask: tuple(not swap for swap in mask) for mask in masks}
    observed = exact[masks[-1]] - exact[masks[0]]
    near = Fraction(1, 10**12)
    as_large = sum(abs(exact[opposite[mask]] - exact[mask]) >= abs(observed) - near for mask in masks)
    assert found.difference == pytest.approx(float(observed), abs=1e-12)
    assert found.p == pytest.approx((1 + as_large) / (1 + len(masks)), abs=1e-15)


def test_scores_are_those_of_the_scorer_and_what_is_detectable_comes_from_its_draws() -> None:
    rng = np.random.default_rng(5)
    benchmark = builders.benchmark(rng)
    submissions = [builders.submission(rng, benchmark) for _ in range(2)]
    result = by_metric(
        compare(benchmark, [tallied(benchmark, one) for one in submissions], n_resamples=40, n_swaps=9, seed=3)
    )
    first, second = (score(benchmark, one, n_resamples=0) for one in submissions)
    assert (result["piq"].first, result["piq"].second) == (first.piq, second.piq)
    for task, value in first.f1.items():
        assert (result[f"f1.{task}"].first, result[f"f1.{task}"].second) == (value, second.f1[task])
    for aspect, value in first.aspects.items():
        if aspect != "emotion":  # one task, whose F1 it is: not tested twice
            assert result[f"aspects.{aspect}"].first == value
    assert "aspects.emotion" not in result
    assert first.reid is not None
    assert result["reid.macro_map"].first == first.reid.values["macro_map"]

    one, other = (tallied(benchmark, submission).labels["age"] for submission in submissions)
    drawn = []
    for weights in np.concatenate(resampled(np.asarray, clusters_of(benchmark), 40, 3)):
        drawn.append(weighted_f1(other, weights) - weighted_f1(one, weights))
    spread = float(np.std([value for value in drawn if not np.isnan(value)], ddof=1))
    assert result["f1.age"].detectable == pytest.approx((1.959964 + 0.841621) * spread, rel=1e-6)


@pytest.mark.parametrize(
    ("tasks", "metrics"),
    [
        (("reid",), ["piq", "reid.macro_rank1", "reid.macro_map"]),
        (("mood",), ["piq"]),
        (("gender", "age"), ["piq", "f1.gender", "f1.age"]),
        (("gender", "mood"), ["piq", "f1.gender", "f1.mood"]),
        (("reid", "mood"), ["piq", "aspects.reid", "reid.macro_rank1", "reid.macro_map", "f1.mood"]),
    ],
)
def test_no_number_is_tested_under_two_names(tasks: tuple[str, ...], metrics: list[str]) -> None:
    rng = np.random.default_rng(6)
    whole = builders.benchmark(rng)
    benchmark = replace(whole, tasks=tuple(task for task in whole.tasks if task.name in tasks))
    systems = [tallied(benchmark, builders.submission(rng, benchmark)) for _ in range(2)]
    (pair,) = compare(benchmark, systems, n_resamples=5, n_swaps=9).pairs
    assert [one.metric for one in pair.differences] == metrics
    by_p = sorted(one.p for one in pair.differences)
    assert min(one.p_adjusted for one in pair.differences) == min(1.0, len(metrics) * by_p[0])


def weighted_f1(tally: LabelTally, weights: FloatArray) -> float:
    scores = []
    for label in range(tally.true.shape[1]):
        hits, given_it, having_it = (
            sum(weight * part[cluster, label] for cluster, weight in enumerate(weights))
            for part in (tally.hits, tally.predicted, tally.true)
        )
        if having_it:
            scores.append(2 * hits / (given_it + having_it))
    return sum(scores) / len(scores) if scores else float("nan")


def test_in_reverse_order_only_the_signs_of_differences_change() -> None:
    benchmark, one, other = systems(7)
    there, back = (compare(benchmark, pair, n_resamples=50, n_swaps=99) for pair in ([one, other], [other, one]))
    for a, b in zip(there.pairs[0].differences, back.pairs[0].differences, strict=True):
        assert a.difference == -b.difference
        assert (a.p, a.p_adjusted) == (b.p, b.p_adjusted)
        assert a.detectable == pytest.approx(b.detectable, abs=1e-12)
        assert a.interval is None or a.interval == pytest.approx((-b.interval[1], -b.interval[0]), abs=1e-12)  # type: ignore[index]
    assert there.pairs[0].identities == back.pairs[0].identities[::-1]  # type: ignore[index]


def test_a_submission_does_not_differ_from_itself() -> None:
    benchmark, one, _ = systems(8)
    result = compare(benchmark, [one, one], n_resamples=20, n_swaps=50)
    for found in result.pairs[0].differences:
        assert (found.difference, found.p, found.p_adjusted, found.detectable) == (0.0, 1.0, 1.0, 0.0)
        assert not found.significant
    assert result.pairs[0].identities is not None
    assert result.pairs[0].identities[::2] == (0, 0)


def test_three_submissions_make_three_pairs_and_one_correction() -> None:
    benchmark, one, other = systems(9)
    result = compare(benchmark, [one, other, one], n_resamples=5, n_swaps=200)
    assert [(pair.first, pair.second) for pair in result.pairs] == [(0, 1), (0, 2), (1, 2)]
    found = [difference for pair in result.pairs for difference in pair.differences]
    assert [one.p_adjusted for one in found] == holm([one.p for one in found])
    assert result.pairs[0].differences[0].difference == -result.pairs[2].differences[0].difference


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_multiplies_each_p_value_by_the_number_not_yet_tested(p: list[float]) -> None:
    adjusted = holm(p)
    order = sorted(range(len(p)), key=lambda i: p[i])
    for place, index in enumerate(order):
        before = [min(1.0, (len(p) - k) * p[order[k]]) for k in range(place + 1)]
        assert adjusted[index] == max(before)
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))


def test_swaps_are_fair_independent_and_determined_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = replace(clusters_of(builders.benchmark(np.random.default_rng(0))), n_groups=100)
    drawn = np.concatenate(over_swaps(np.copy, clusters, 4000, seed=1))
    assert drawn.shape == (4000, clusters.total)
    assert abs(drawn.mean() - 0.5) < 0.005
    together = np.corrcoef(drawn[:, :70].T.astype(float)) - np.eye(70)
    assert np.abs(together).max() < 0.09
    monkeypatch.setattr(swaps, "BLOCK_VALUES", 2000)
    blocks = over_swaps(np.copy, clusters, 4000, seed=1)
    assert len(blocks) > 100
    assert (np.concatenate(blocks) == drawn).all()
    assert (np.concatenate(over_swaps(np.copy, clusters, 4000, seed=2)) != drawn).any()


def drawn_tally(rng: np.random.Generator, n_clusters: int, right: float) -> tuple[LabelTally, FloatArray]:
    """Two labels; a person is easy or hard, and all of a person's images are answered alike."""
    true = np.zeros((n_clusters, 2))
    true[np.arange(n_clusters), rng.integers(0, 2, n_clusters)] = rng.integers(1, 6, n_clusters)
    is_right = rng.random(n_clusters) < right
    predicted = np.where(is_right[:, None], true, true[:, ::-1])
    return LabelTally(np.minimum(predicted, true), predicted, true), true


def simulated(rng: np.random.Generator, benchmark: Benchmark, right: tuple[float, float]) -> Difference:
    clusters = clusters_of(benchmark)
    one, true = drawn_tally(rng, clusters.total, right[0])
    is_right = rng.random(clusters.total) < right[1]
    predicted = np.where(is_right[:, None], true, true[:, ::-1])
    other = LabelTally(np.minimum(predicted, true), predicted, true)
    pair = [Tallied(name, "", None, {"gender": tally}, PROTOCOL) for name, tally in (("a", one), ("b", other))]
    return by_metric(compare(benchmark, pair, n_resamples=199, n_swaps=199, seed=int(rng.integers(2**32))))["f1.gender"]


def test_equally_good_submissions_differ_significantly_in_about_one_of_twenty_data_sets() -> None:
    rng = np.random.default_rng(11)
    benchmark = builders.benchmark(rng, builders.Size(n_query=20, n_gallery=60, n_identities=20))
    found = [simulated(rng, benchmark, (0.7, 0.7)).p for _ in range(300)]
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.085


@pytest.mark.parametrize("n_people", [4, 8, 20])
def test_an_interval_leaves_0_out_if_and_only_if_its_p_value_is_below_5_per_cent(n_people: int) -> None:
    rng = np.random.default_rng(n_people)
    benchmark = builders.benchmark(rng, builders.Size(n_query=n_people, n_gallery=60, n_identities=n_people))
    significant = 0
    for right in np.linspace(0.3, 1.0, 40):
        found = simulated(rng, benchmark, (0.5, float(right)))
        assert found.interval is not None
        assert found.interval[0] <= found.difference <= found.interval[1]
        assert (found.interval[0] <= 0.0 <= found.interval[1]) == (found.p >= 0.05), found
        significant += found.p < 0.05
    assert significant < 40


def test_the_ends_of_the_interval_of_macro_map_are_where_the_shifted_test_begins_to_refuse() -> None:
    """Macro mAP is a mean over people, so taking a difference from every person is the same as the inversion."""
    rng = np.random.default_rng(3)
    benchmark = builders.benchmark(rng, builders.Size(n_query=60, n_gallery=60, n_identities=12))
    n = clusters_of(benchmark).identity.size
    n_queries = rng.integers(1, 4, n).astype(np.float64)
    means = rng.uniform([[0.2], [0.4]], [[0.6], [0.8]], (2, n))

    def compared(shift: float) -> Difference:
        pair = [
            Tallied(name, "", ReidTally(n_queries, {"rank1": n_queries, "map": n_queries * values}), {}, PROTOCOL)
            for name, values in (("a", means[0]), ("b", means[1] - shift))
        ]
        return by_metric(compare(benchmark, pair, n_resamples=2, n_swaps=999, seed=4))["reid.macro_map"]

    ends = compared(0.0).interval
    assert ends is not None
    assert 0.0 < ends[0] < ends[1] < 0.5
    for inside, outside in ((ends[0] + 1e-6, ends[0] - 1e-6), (ends[1] - 1e-6, ends[1] + 1e-6)):
        assert compared(inside).p >= 0.05 > compared(outside).p


def test_the_true_difference_lies_in_the_interval_in_about_95_of_100_data_sets() -> None:
    rng = np.random.default_rng(12)
    benchmark = builders.benchmark(rng, builders.Size(n_query=40, n_gallery=120, n_identities=40))
    ends = [simulated(rng, benchmark, (0.6, 0.8)).interval for _ in range(200)]
    covered = np.mean([end is not None and end[0] <= 0.2 <= end[1] for end in ends])
    assert 0.90 <= covered <= 0.99


def test_what_cannot_be_compared_is_refused() -> None:
    benchmark, one, other = systems(1)
    with pytest.raises(BadUsage, match="got 1"):
        compare(benchmark, [one])
    with pytest.raises(BadUsage, match="share none"):
        compare(benchmark, [replace(one, reid=None), replace(other, labels={})])
    other_rules = replace(other, protocol=replace(PROTOCOL, ap="market1501"))
    with pytest.raises(BadUsage, match="has ap 'market1501' instead of 'non-interpolated'"):
        compare(benchmark, [one, other_rules])
    partly = compare(benchmark, [replace(one, reid=None), other], n_resamples=2, n_swaps=2)
    assert "piq" not in by_metric(partly)
    assert "f1.age" in by_metric(partly)
    assert partly.pairs[0].identities is None


def test_progress_counts_the_draws_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark, one, other = systems(0)
    monkeypatch.setattr(swaps, "BLOCK_VALUES", 100)
    steps: list[int] = []
    compare(benchmark, [one, other, one], n_resamples=7, n_swaps=50, advance=steps.append)
    assert sum(steps) == 3 * (7 + 50)
    assert len(steps) > 6
