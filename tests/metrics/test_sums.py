"""Sums are those of a loop from left to right, to the last bit, also without values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from piq_bench.metrics import sums
from piq_bench.metrics.sums import ordered_mean, ordered_sum, segment_sums, weighted_sums
from piq_bench.records import FloatArray


def loop(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (3, 0), (0, 3)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_values_are_added_one_by_one_along_an_axis(shape: tuple[int, int], axis: int) -> None:
    values = np.random.default_rng(0).random(shape) * 10.0 ** np.arange(shape[1])
    sums = ordered_sum(values, axis=axis)
    lists = values.T.tolist() if axis == 0 else values.tolist()
    assert sums.shape == (len(lists),) and sums.tolist() == [loop(line) for line in lists]


def test_a_mean_divides_the_sum_by_the_number_of_values() -> None:
    assert ordered_mean(np.array([1e16, 1.0, 1.0])) == 1e16 / 3  # exactly rounded, the sum would be 1e16 + 2


@given(
    arrays(np.float64, st.tuples(st.integers(0, 3), st.integers(0, 6)), elements=st.floats(0, 1e16)),
    st.integers(0, 4),
    st.sampled_from([1, 2, 100]),
)
def test_weighted_values_are_added_one_by_one(values: FloatArray, n_weightings: int, many: int) -> None:
    weights = np.random.default_rng(0).integers(0, 4, (n_weightings, values.shape[1])).astype(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "MANY", many)
        found = weighted_sums(values, weights)
    assert found.shape == (values.shape[0], n_weightings)
    for row, line in zip(found.tolist(), values.tolist(), strict=True):
        assert row == [loop([w * value for w, value in zip(each, line, strict=True)]) for each in weights.tolist()]


def test_segments_without_values_have_the_sum_0() -> None:
    sums = segment_sums(np.array([1e16, 5.0, 1.0, 1.0]), np.array([1, 3, 1, 1]), 5)
    assert sums.tolist() == [0.0, 1e16, 0.0, 5.0, 0.0] and sums.dtype == np.float64
    assert segment_sums(np.zeros(0), np.zeros(0, dtype=np.int64), 2).dtype == np.float64
