"""Values that are checked many at once are those that would pass one by one."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.read import group_rows
from piq_bench.read.column import object_array
from piq_bench.read.group_rows import OPTIONAL_HEX, all_match
from piq_bench.read.groups import NUMBER, QUALITY

ANYTHING = st.text("0af9e.-\n\0 é", max_size=20)
WELL_FORMED = [st.from_regex(pattern, fullmatch=True) for pattern in (OPTIONAL_HEX, NUMBER, QUALITY)]


@pytest.mark.parametrize("pattern", [OPTIONAL_HEX, NUMBER, QUALITY])
@given(values=st.lists(st.one_of(ANYTHING, *WELL_FORMED), max_size=9), piece=st.integers(1, 4))
def test_all_match_when_each_does(pattern: re.Pattern[str], values: list[str], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_rows, "PIECE_ROWS", piece)
        assert all_match(pattern, object_array(values)) == all(map(pattern.fullmatch, values))


@pytest.mark.parametrize(("pattern", "value"), [(OPTIONAL_HEX, "0123456789abcdef"), (NUMBER, "7"), (QUALITY, "1.5")])
def test_a_line_break_does_not_make_two_values_of_one(pattern: re.Pattern[str], value: str) -> None:
    assert all_match(pattern, object_array([value, value]))
    assert not all_match(pattern, object_array([value, f"{value}\n{value}"]))


@given(st.lists(st.one_of(st.just(""), st.integers(0, 2**64 - 1).map("{:016x}".format)), max_size=5))
def test_hashes_are_their_hex_digits(digits: list[str]) -> None:
    hashes = group_rows._parse_hashes(object_array(digits))
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == [int(value, 16) if value else 0 for value in digits]
