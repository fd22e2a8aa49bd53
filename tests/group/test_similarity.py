from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.errors import BadUsage
from piq_bench.group.similarity import distance_exceeding


@given(st.integers(0, 9999))
def test_the_distance_is_the_last_whose_similarity_exceeds(ten_thousandths: int) -> None:
    bound = Fraction(ten_thousandths, 10_000)
    expected = max(d for d in range(65) if 1 - Fraction(d, 64) > bound)
    assert distance_exceeding(f"0.{ten_thousandths:04d}") == expected


@pytest.mark.parametrize("text", ["1", "1.2", "-0.1", "x", "", "1/0", "nan", "inf"])
def test_what_is_no_similarity_is_refused(text: str) -> None:
    with pytest.raises(BadUsage, match="at least 0 and below 1"):
        distance_exceeding(text)
