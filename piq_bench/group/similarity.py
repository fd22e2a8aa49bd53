"""Converts the paper's similarity threshold, which 1 - d/64 must exceed, to a Hamming distance d, exactly."""

import math
from fractions import Fraction

from piq_bench.errors import BadUsage, Problem, quoted
from piq_bench.group.phash import N_BITS


def distance_exceeding(similarity: str) -> int:
    """The greatest distance whose similarity exceeds the one given.

    Raises:
        BadUsage: if `similarity` is no number of [0, 1).

    >>> [distance_exceeding(text) for text in ("0.95", "0.9", "0.875", "0.85", "0.8")]
    [3, 6, 7, 9, 12]
    """
    try:
        value = Fraction(similarity)
    except (ValueError, ZeroDivisionError):
        value = Fraction(-1)
    if not 0 <= value < 1:
        found, remedy = f"got {quoted(similarity)}", "give a similarity at least 0 and below 1, such as 0.9"
        raise BadUsage("options", [Problem("bad-similarity", "--similarity", found, remedy)])
    return math.ceil(N_BITS * (1 - value)) - 1
