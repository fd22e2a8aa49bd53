"""Inversion of the randomisation test, against a count of the supporting swaps at every difference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.scoring.inversion import ALPHA, furthest, not_refused

swaps = st.lists(st.tuples(st.floats(-1, 1), st.floats(-0.9, 0.9)), min_size=1, max_size=60)


def p_value(tested: float, observed: float, each: list[tuple[float, float]]) -> float:
    """The definition: the share of swaps that make at least as much of the data without `tested`."""
    n_as_large = sum(abs(swapped - kept * tested) >= abs(observed - tested) for swapped, kept in each)
    return (1 + n_as_large) / (1 + len(each))


@given(st.floats(-0.9, 0.9), swaps)
def test_the_interval_holds_the_differences_whose_p_value_is_not_below_5_per_cent(
    observed: float, each: list[tuple[float, float]]
) -> None:
    swapped, kept = np.transpose(each)
    ends = not_refused([furthest(observed, swapped, kept)], p_value(0.0, observed, each))
    assert ends is not None
    for tested in np.linspace(-1, 1, 41):
        if min(abs(tested - end) for end in ends) > 1e-9:
            assert (ends[0] < tested < ends[1]) == (p_value(float(tested), observed, each) >= ALPHA)


def test_blocks_of_swaps_are_put_together() -> None:
    rng = np.random.default_rng(0)
    swapped, kept = rng.normal(0, 0.1, 400), rng.uniform(-0.5, 0.5, 400)
    low, high = furthest(0.1, swapped, kept)
    whole = not_refused([(low, high)], 0.3)
    assert not_refused([(low[:150], high[:150]), (low[150:], high[150:])], 0.3) == whole


def test_swapping_all_or_none_supports_every_difference() -> None:
    low, high = furthest(0.25, np.array([0.25, -0.25]), np.array([1.0, -1.0]))
    assert low.tolist() == [-np.inf, -np.inf]
    assert high.tolist() == [np.inf, np.inf]


def test_too_few_swaps_for_any_significance_refuse_nothing() -> None:
    none = furthest(0.5, np.zeros(19), np.zeros(19))  # the smallest p-value is 1 / 20, which is not below 5%
    assert not_refused([none], 1 / 20) == (-1.0, 1.0)
    none = furthest(0.5, np.zeros(20), np.zeros(20))
    assert not_refused([none], 1 / 21) == (0.5, 0.5)


@pytest.mark.parametrize(("p", "holds"), [(0.04, False), (0.05, True)])
def test_the_p_value_decides_where_an_end_lies_at_0(p: float, holds: bool) -> None:
    low, high = np.zeros(100), np.full(100, 0.5)
    ends = not_refused([(low, high)], p)
    assert ends is not None
    assert (ends[0] <= 0.0 <= ends[1]) == holds
    ends = not_refused([(-high, low)], p)
    assert ends is not None
    assert (ends[0] <= 0.0 <= ends[1]) == holds
