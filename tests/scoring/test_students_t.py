import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special, stats

from piq_bench.scoring.students_t import exceeded_with, expanded_tail, probability_above

FREEDOM = st.floats(1, 1e6) | st.integers(1, 10**6).map(float)


@given(st.floats(1e-3, 0.5), FREEDOM)
@example(0.025, 1.0)
@example(0.025, 99.99)
@example(0.025, 100.0)
@example(0.5, 7.0)
def test_the_quantile_is_that_of_students_t(tail: float, freedom: float) -> None:
    assert exceeded_with(tail, freedom) == pytest.approx(stats.t.isf(tail, freedom), rel=1e-9, abs=1e-12)


@given(st.floats(0, 40), FREEDOM)
@example(1e-8, 1.0)
def test_the_probability_is_that_of_students_t(value: float, freedom: float) -> None:
    """Near 0, `scipy.stats.t.sf` loses half the digits: there the probability between 0 and the value is exact."""
    square = value * value
    if square < freedom:
        expected = 0.5 - 0.5 * float(special.betainc(0.5, 0.5 * freedom, square / (freedom + square)))
    else:
        expected = float(stats.t.sf(value, freedom))
    assert probability_above(value, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-14)


@given(FREEDOM, st.sampled_from([100, 999, 1000, 2000, 10_000]))
def test_as_many_resamples_are_cut_off_as_with_scipy(freedom: float, n_resamples: int) -> None:
    tail = float(special.ndtr(np.sqrt(1.0 + 1.0 / freedom) * special.stdtrit(freedom, 0.025)))
    n_cut = np.ceil(n_resamples * np.array([tail, expanded_tail(0.025, freedom)]) - 1e-9)
    assert n_cut[0] == n_cut[1]


def test_a_cauchy_distribution_has_one_degree_of_freedom() -> None:
    for value in (0.0, 0.5, 1.0, 3.0, 300.0):
        assert probability_above(value, 1.0) == pytest.approx(0.5 - np.arctan(value) / np.pi, rel=1e-12)
