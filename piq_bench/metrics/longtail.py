"""How long-tailed a list of counts is, in exact arithmetic: pure functions of counts.

Doubles give one label too many at exact ties (k = 0.07 of 1400 samples), so everything here is in whole numbers and
fractions; a caller rounds once, at the end.
"""

from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate


def lts(counts: Iterable[int], k: Fraction) -> Fraction | None:
    """LTS_k, the long-tail score of Fan et al., Portrait Interpretation and a Benchmark (2022): n / (k N).

    n is the smallest number of labels whose counts, largest first, sum to at least k of all samples; N is the number
    of labels. Lower is a longer tail; equal counts give about 1, and it may exceed 1.

    For the people of Market-1501 it gives 0.3995 (train), 0.7667 (query) and 0.4467 (gallery) at k = 0.2; the paper's
    Table 3 prints 0.400, 0.766 and 0.446, and for Portrait250K 0.086, 0.074 and 0.070.

    Args:
        counts: number of samples of each label; labels without a sample do not count.
        k: share of all samples, in (0, 1].

    Returns:
        The exact score, or None if there is no sample at all.

    Raises:
        ValueError: if k is not in (0, 1], or a count is negative.

    >>> lts([50, 30, 10, 10], Fraction("0.2"))  # 1 of 4 labels holds 20%: 1 / (0.2 * 4)
    Fraction(5, 4)
    """
    if not 0 < k <= 1:
        raise ValueError(f"k must be in (0, 1], got {k}")
    sizes = _sizes(counts)
    if not sizes:
        return None
    wanted = k.numerator * sum(sizes)  # compared with sums times k's denominator, so that both sides are whole
    n = next(n for n, held in enumerate(accumulate(sizes), 1) if held * k.denominator >= wanted)
    return Fraction(n) / (k * len(sizes))


def gini(counts: Iterable[int]) -> Fraction | None:
    """Gini coefficient of the samples per label; in [0, 1), 0 where all labels have equally many.

    Args:
        counts: number of samples of each label; labels without a sample do not count.

    Returns:
        The exact coefficient, or None if there is no sample at all.

    >>> gini([1, 1, 2])  # (1 * -2 + 1 * 0 + 2 * 2) / (3 * 4)
    Fraction(1, 6)
    """
    sizes = _sizes(counts)
    if not sizes:
        return None
    n = len(sizes)
    weighted = sum((n - 1 - 2 * rank) * size for rank, size in enumerate(sizes))  # largest first
    return Fraction(weighted, n * sum(sizes))


def _sizes(counts: Iterable[int]) -> list[int]:
    """Counts of at least 1, largest first, as Python integers, which do not overflow."""
    sizes = sorted((int(count) for count in counts), reverse=True)
    if sizes and sizes[-1] < 0:
        raise ValueError(f"a count is negative: {sizes[-1]}")
    return [size for size in sizes if size]
