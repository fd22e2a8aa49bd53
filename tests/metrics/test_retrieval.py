from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.metrics.retrieval import (
    Rankings,
    average_precision,
    average_precision_market1501,
    chance_average_precision,
    cumulative_match,
    inverse_negative_penalty,
    metrics_of,
)

FAST = {
    "average precision": average_precision,
    "average precision of Market-1501": average_precision_market1501,
    "CMC@1": lambda rankings: cumulative_match(rankings, 1),
    "CMC@3": lambda rankings: cumulative_match(rankings, 3),
    "CMC@10": lambda rankings: cumulative_match(rankings, 10),
    "INP": inverse_negative_penalty,
}
CLOSED = {
    "average precision": oracles.average_precision,
    "average precision of Market-1501": oracles.average_precision_market1501,
    "CMC@1": lambda candidates: oracles.cumulative_match(candidates, 1),
    "CMC@3": lambda candidates: oracles.cumulative_match(candidates, 3),
    "CMC@10": lambda candidates: oracles.cumulative_match(candidates, 10),
    "INP": oracles.inverse_negative_penalty,
}
STRICT = {
    "average precision": oracles.strict_average_precision,
    "average precision of Market-1501": oracles.strict_average_precision_market1501,
    "CMC@1": oracles.strict_cumulative_match(1),
    "CMC@3": oracles.strict_cumulative_match(3),
    "CMC@10": oracles.strict_cumulative_match(10),
    "INP": oracles.strict_inverse_negative_penalty,
}


def candidates_of(max_size: int, n_values: int) -> st.SearchStrategy[list[tuple[float, bool]]]:
    one = st.tuples(st.integers(0, n_values - 1).map(float), st.booleans())
    return st.lists(one, min_size=1, max_size=max_size).filter(lambda c: any(hit for _, hit in c))


def ranking_of(candidates: list[tuple[float, bool]]) -> Rankings:
    n_above, kept = 0, []
    for n_positives, n_images in oracles.runs(candidates):
        if n_positives:
            kept.append((n_positives, n_images, n_above))
        n_above += n_images
    n_positives, n_images, above = np.transpose(kept).tolist()
    return Rankings.of_one(n_positives, n_images, above)


def joined(rankings: list[Rankings]) -> Rankings:
    """The rankings of several queries as one record."""
    sizes = [ranking.n_images.size for ranking in rankings]
    parts = zip(*((r.n_positives, r.n_images, r.n_above) for r in rankings), strict=True)
    return Rankings(np.concatenate([[0], np.cumsum(sizes)]), *(np.concatenate(part) for part in parts))


@pytest.mark.parametrize("name", FAST)
@given(candidates=candidates_of(6, 3))
def test_metrics_are_the_mean_over_all_orders_of_the_ties(name: str, candidates: list[tuple[float, bool]]) -> None:
    expected = oracles.over_all_orders(candidates, STRICT[name])
    assert CLOSED[name](candidates) == expected
    assert FAST[name](ranking_of(candidates))[0] == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("name", FAST)
@given(candidates=candidates_of(120, 12))
def test_metrics_agree_with_exact_fractions(name: str, candidates: list[tuple[float, bool]]) -> None:
    assert FAST[name](ranking_of(candidates))[0] == pytest.approx(float(CLOSED[name](candidates)), rel=1e-12)


@pytest.mark.parametrize("name", FAST)
def test_a_perfect_ranking_scores_1(name: str) -> None:
    ranking = Rankings.of_one([1] * 5, [1] * 5, [0, 1, 2, 3, 4])
    assert FAST[name](ranking).tolist() == [1.0]


@pytest.mark.parametrize("name", FAST)
@given(queries=st.lists(candidates_of(12, 4), max_size=6))
def test_a_query_scores_the_same_alone_and_among_others(name: str, queries: list[list[tuple[float, bool]]]) -> None:
    alone = [ranking_of(candidates) for candidates in queries]
    no_positive = Rankings.of_one([], [], [])
    together = FAST[name](joined([no_positive, *alone, no_positive]))
    assert np.isnan(together[[0, -1]]).all()
    assert together[1:-1].tolist() == [float(FAST[name](ranking)[0]) for ranking in alone]


def test_hits_1_0_1_by_hand() -> None:
    ranking = Rankings.of_one([1, 1], [1, 1], [0, 2])
    assert average_precision(ranking)[0] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert average_precision_market1501(ranking)[0] == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    assert inverse_negative_penalty(ranking)[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("n_positives", "n_images"), [(1, 1), (3, 50), (40, 50), (2, 20_000), (700, 20_000)])
def test_chance_follows_the_harmonic_closed_form(n_positives: int, n_images: int) -> None:
    harmonic = sum((Fraction(1, i) for i in range(1, min(n_images, 60) + 1)), Fraction(0))
    total = float(harmonic) + sum(1 / i for i in range(61, n_images + 1))
    inside = (n_positives - 1) / (n_images - 1) * (n_images - total) if n_images > 1 else 0.0
    chance = chance_average_precision(np.array([n_positives]), np.array([n_images]))[0]
    assert chance == pytest.approx((inside + total) / n_images, rel=1e-11)


@given(candidates=st.lists(st.booleans(), min_size=1, max_size=7).filter(any))
def test_chance_is_the_average_precision_of_a_constant_embedding(candidates: list[bool]) -> None:
    chance = chance_average_precision(np.array([sum(candidates)]), np.array([len(candidates)]))[0]
    expected = oracles.average_precision([(0.0, hit) for hit in candidates])
    assert chance == pytest.approx(float(expected), rel=1e-12)


def test_huge_ties_stay_finite() -> None:
    ranking = Rankings.of_one([3], [90_000], [7])
    expected = oracles.cumulative_match([(1.0, False)] * 7 + [(0.0, i < 3) for i in range(90_000)], 10)
    assert cumulative_match(ranking, 10)[0] == float(expected)
    assert 3 / 90_007 < inverse_negative_penalty(ranking)[0] < 1e-4


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(KeyError):
        metrics_of("interpolated")
