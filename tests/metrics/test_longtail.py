"""LTS_k and Gini against their definitions, computed in exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.metrics.longtail import gini, lts

COUNTS = st.lists(st.integers(0, 60), max_size=30)
SHARES = st.fractions(min_value=Fraction(1, 1000), max_value=1, max_denominator=1000)


def expected_lts(counts: list[int], k: Fraction) -> Fraction | None:
    """The definition, tried for every n."""
    labels = sorted([c for c in counts if c > 0], reverse=True)
    for n in range(1, len(labels) + 1):
        if Fraction(sum(labels[:n])) >= k * sum(labels):
            return Fraction(n) / (k * len(labels))
    return None


def expected_gini(counts: list[int]) -> Fraction | None:
    """Half the mean absolute difference over all pairs, relative to the mean."""
    labels = [c for c in counts if c > 0]
    if not labels:
        return None
    differences = sum(abs(a - b) for a in labels for b in labels)
    return Fraction(differences, 2 * len(labels) * sum(labels))


@given(COUNTS, SHARES)
def test_lts_is_the_definition(counts: list[int], k: Fraction) -> None:
    assert lts(counts, k) == expected_lts(counts, k)


@given(COUNTS, SHARES)
def test_the_order_of_labels_and_labels_without_samples_do_not_matter(counts: list[int], k: Fraction) -> None:
    shuffled = [*sorted(counts), 0, 0]
    assert lts(shuffled, k) == lts(counts, k)
    assert gini(shuffled) == gini(counts)


@given(COUNTS, SHARES, SHARES)
def test_a_larger_share_takes_no_fewer_labels(counts: list[int], one: Fraction, other: Fraction) -> None:
    few, many = lts(counts, min(one, other)), lts(counts, max(one, other))
    if few is not None and many is not None:
        assert few * min(one, other) <= many * max(one, other)  # n / N


@given(COUNTS, SHARES, st.integers(1, 1000))
def test_only_proportions_matter(counts: list[int], k: Fraction, factor: int) -> None:
    assert lts([factor * count for count in counts], k) == lts(counts, k)
    assert gini([factor * count for count in counts]) == gini(counts)


def test_an_exact_tie_takes_no_label_too_many() -> None:
    # 0.07 of 1400 is 98, which the first label holds; the double 0.07 * 1400 is 98.00000000000001.
    assert 0.07 * 1400 > 98
    counts = [98] + [93] * 14
    assert sum(counts) == 1400
    assert lts(counts, Fraction("0.07")) == 1 / (Fraction("0.07") * 15)


def test_lts_may_exceed_one() -> None:
    # One of two labels always holds 20%: 1 / (0.2 * 2) = 2.5.
    assert lts([1, 1], Fraction("0.2")) == Fraction(5, 2)


def test_counts_beyond_any_machine_word_stay_exact() -> None:
    huge = 10**30
    assert lts([huge, huge, 1], Fraction(1, 2)) == Fraction(1) / (Fraction(1, 2) * 3) * 2
    assert lts([huge, huge], Fraction(1, 2)) == 1


@pytest.mark.parametrize("counts", [[], [0], [0, 0]])
def test_no_sample_has_no_score(counts: list[int]) -> None:
    assert lts(counts, Fraction("0.2")) is None
    assert gini(counts) is None


@given(COUNTS)
def test_gini_is_the_mean_difference(counts: list[int]) -> None:
    assert gini(counts) == expected_gini(counts)


@pytest.mark.parametrize("k", [Fraction(0), Fraction(-1, 5), Fraction(6, 5)])
def test_a_share_outside_0_to_1_is_refused(k: Fraction) -> None:
    with pytest.raises(ValueError, match=r"k must be in \(0, 1\]"):
        lts([1], k)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="negative: -1"):
        lts([3, -1], Fraction("0.2"))
