"""Computes how much an expanded percentile interval cuts off, from Student's t and the normal distribution.

`scipy.special` has both, but its import takes as long as a quarter of `piq-score` on a small benchmark.

Abramowitz and Stegun, Handbook of Mathematical Functions, 1964: 6.1.47 (ratio of gamma functions), 26.5.8 (incomplete
beta function as a continued fraction) and 26.7.1 (Student's t as an incomplete beta function).
"""

from itertools import count
from math import erfc, exp, lgamma, log, log1p, pi, sqrt

PRECISION = 1e-15  # relative change at which a series or Newton's method has arrived
FAR = 9.0  # square of a value
LARGE = 50.0  # from where the logarithms of gamma functions are too large to be subtracted from each other


def expanded_tail(tail: float, freedom: float) -> float:
    """The share of resamples to cut off at each end where `tail` would be cut off without the expansion.

    Args:
        tail: above 0, at most 0.5.
        freedom: degrees of freedom, at least 1; need not be whole.

    >>> round(expanded_tail(0.025, 7), 6)  # t is 2.365; times the root of 8 / 7, it is 2.528
    0.005738
    """
    return erfc(sqrt(1.0 + 1.0 / freedom) * exceeded_with(tail, freedom) / sqrt(2.0)) / 2.0


def exceeded_with(tail: float, freedom: float) -> float:
    """The value that Student's t exceeds with probability `tail`.

    From 0 on, the probability is convex in the value: Newton's steps approach the solution from below.
    """
    value = 0.0
    while True:
        step = (probability_above(value, freedom) - tail) / _density(value, freedom)
        if step <= PRECISION * value:
            return value
        value += step


def probability_above(value: float, freedom: float) -> float:
    """Probability that Student's t is above a value, which is not negative."""
    half, square = freedom / 2.0, value * value
    factor = _density(value, freedom) * value
    # Far from 1, the argument of the beta function keeps its digits; far out, the difference from 0.5 would lose them.
    if square < min(freedom, FAR):
        return 0.5 - factor / _fraction(0.5, half, square / (freedom + square))
    return factor / freedom / _fraction(half, 0.5, freedom / (freedom + square))


def _density(value: float, freedom: float) -> float:
    exponent = (freedom + 1.0) / 2.0 * log1p(value * value / freedom)
    return exp(_log_gamma_ratio(freedom / 2.0) - exponent) / sqrt(pi * freedom)


def _log_gamma_ratio(a: float) -> float:
    """Logarithm of gamma(a + 1 / 2) / gamma(a)."""
    if a < LARGE:
        return lgamma(a + 0.5) - lgamma(a)
    return log(a) / 2.0 - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _fraction(a: float, b: float, x: float) -> float:
    """The denominator of the incomplete beta function, 1 + d1 / (1 + d2 / ...), from its front by Lentz's method."""
    fraction = above = 1.0
    below = 0.0
    for n in count(1):
        m = n // 2
        if n % 2:
            term = -(a + m) * (a + b + m) * x / ((a + n - 1) * (a + n))
        else:
            term = m * (b - m) * x / ((a + n - 1) * (a + n))
        above, below = 1.0 + term / above, 1.0 / (1.0 + term * below)
        fraction *= above * below
        if abs(above * below - 1.0) < PRECISION:
            break
    return fraction
