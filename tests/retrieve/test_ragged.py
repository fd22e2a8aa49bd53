"""Lists of different lengths are searched like each list by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.retrieve import ragged
from piq_bench.retrieve.ragged import Side, order_lists, search_lists

LISTS = st.lists(st.lists(st.integers(-3, 3), max_size=6), max_size=5)


def joined(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([value for own in lists for value in own], dtype=np.float64)
    return np.cumsum([0, *map(len, lists)]), values


@given(lists=LISTS, data=st.data(), side=st.sampled_from(["left", "right"]), many=st.sampled_from([0, 16]))
def test_a_value_belongs_where_it_belongs_in_its_own_list(
    lists: list[list[int]], data: st.DataObject, side: Side, many: int
) -> None:
    lists = [sorted(own) for own in lists]
    start, values = joined(lists)
    wanted = st.tuples(st.integers(0, len(lists) - 1), st.integers(-4, 4))
    pairs = data.draw(st.lists(wanted, max_size=30)) if lists else []
    if data.draw(st.booleans()):
        pairs.sort()
    query, value = (np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "MANY_IN_LIST", many)
        found = search_lists(start, values, query, value.astype(np.float64), side)
    lower = np.less if side == "left" else np.less_equal
    expected = [start[q] + sum(bool(lower(own, v)) for own in lists[q]) for q, v in pairs]
    assert found.tolist() == expected


@given(lists=LISTS)
def test_each_list_is_put_in_order_by_itself(lists: list[list[int]]) -> None:
    start, values = joined(lists)
    order = order_lists(values, start)
    assert sorted(order.tolist()) == list(range(values.size))
    assert values[order].tolist() == [value for own in lists for value in sorted(own)]
    assert (np.searchsorted(start, order, "right") == np.searchsorted(start, np.arange(values.size), "right")).all()
