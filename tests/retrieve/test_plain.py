"""A table of all similarities is counted like blocks of them; buckets keep the order of values of any size."""

import numpy as np
import pytest
from engine_builders import EMBEDDINGS, Distance, Make, engine_input, expected
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.records import FloatArray, IntArray
from piq_bench.retrieve import plain
from piq_bench.retrieve.plain import LEAST_BUCKETS, _Buckets

# Similarities of float32 values stay far below 1e100.
NUMBERS = st.floats(-1e100, 1e100) | st.floats(-1.0, 1.0) | st.sampled_from([0.0, 1.0, 1.0 + 2.0**-52, -1e-310])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", EMBEDDINGS)
def test_a_table_is_counted_by_the_definition(make: Make, distance: Distance, monkeypatch: pytest.MonkeyPatch) -> None:
    n_without = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        given = engine_input(rng, make, distance, dimension=int(rng.integers(1, 20)), most_points=3)
        similarity, queries, gallery, *_, start = given
        n_without += int((np.diff(start) == 0).sum())  # queries without points, which count as done
        for name, most in (("MULTIPLIED_VALUES", 400), ("COUNTED_VALUES", 400)):
            monkeypatch.setattr(plain, name, int(rng.integers(1, most)))
        steps: list[int] = []
        table = plain.all_similarities(similarity, queries, gallery)
        counts = plain.count_in_table(table, *given, advance=steps.append)
        assert (counts.above.tolist(), counts.tied.tolist()) == expected(given)
        assert sum(steps) == queries.size
    assert n_without


def buckets_of(buckets: _Buckets, values: FloatArray, query: IntArray) -> IntArray:
    return buckets.of(values, query, np.empty(values.size + 3), np.empty(values.size + 3, np.int64))


@given(
    edges=st.lists(st.lists(NUMBERS, min_size=2, max_size=6), min_size=1, max_size=4),
    others=st.lists(NUMBERS | st.just(-np.inf), max_size=9),
    n=st.integers(LEAST_BUCKETS, 1000),
)
def test_buckets_never_fall_as_values_grow(edges: list[list[float]], others: list[float], n: int) -> None:
    pairs = [np.sort(np.array(own[: len(own) // 2 * 2])).reshape(-1, 2) for own in edges]
    limits = np.cumsum([0, *map(len, pairs)])
    buckets = _Buckets.around(np.concatenate(pairs), limits, n)
    for query, own in enumerate(pairs):
        values = np.sort(np.concatenate([own.ravel(), others]))[None]
        found = buckets_of(buckets, values, np.array([query]))[0]
        assert (np.diff(found) >= 0).all()
        assert query * n <= found[0] and found[-1] < (query + 1) * n
        of_edges = buckets_of(buckets, own, np.full(len(own), query))
        assert of_edges.ravel().tolist() == found[np.searchsorted(values[0], own.ravel())].tolist()


def test_buckets_part_the_range_of_the_edges_equally() -> None:
    buckets = _Buckets.around(np.array([[0.0, 1.0], [2.0, 10.0]]), np.array([0, 2]), 13)
    values = np.array([[-5.0, 0.0, 0.5, 1.0, 9.5, 10.0, 50.0]])
    assert buckets_of(buckets, values, np.array([0])).tolist() == [[0, 1, 1, 2, 10, 11, 12]]
