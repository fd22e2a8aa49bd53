"""Products of both ways to multiply, against exact fractions and their bounds; how values are listed for the count."""

from fractions import Fraction

import numpy as np
import pytest
from engine_builders import called_from_python
from hypothesis import example, given, settings
from hypothesis import strategies as st

from piq_bench.records import Float32Array
from piq_bench.retrieve import amx, kernel, products
from piq_bench.retrieve.products import Blas, Multiplier, Tiles

ROUNDING = Fraction(1, 2**24)
SMALLEST = 2.0**-149  # every float32 number is a multiple of it
WAYS = (Blas, Tiles) if amx.is_available() else (Blas,)


def images_of(vectors: Float32Array, norm: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> kernel.Images:
    return kernel.Images(vectors, norm, np.zeros((1, 1, kernel.LANES)), np.zeros(1, bool), 0)


def multiplied(way: Multiplier, queries: Float32Array, images: Float32Array) -> Float32Array:
    """All products, computed from the second panel of queries on as well as from the first."""
    ones = np.ones(queries.shape[0])
    square = np.array([float(np.sqrt(np.sum(row.astype(np.float64) ** 2))) for row in images])
    left, right = way.query_factors(queries.shape[0]), way.image_factors(images.shape[0])
    way.fill_queries(left, queries, ones, 0, queries.shape[0])
    way.fill_images(right, images_of(images, square))
    step = way.rows_together
    found = []
    for first in range(0, queries.shape[0], step):
        n_rows = min(step, queries.shape[0] - first)
        buffer = way.buffer(n_rows, images.shape[0])
        found.append(way.multiply(left, first, n_rows, right, images.shape[0], buffer)[:n_rows, : images.shape[0]])
    return np.concatenate(found)


def multiples(values: Float32Array) -> "np.ndarray[tuple[int, int], np.dtype[np.object_]]":
    """Each value as the whole number of `SMALLEST` that it is: with these, numpy computes exactly."""
    return np.array([[int(value / SMALLEST) for value in row] for row in values.astype(np.float64).tolist()], object)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dimension", [1, 31, 33, 64])
def test_errors_stay_below_the_proven_bound(way: type[Blas] | type[Tiles], dimension: int) -> None:
    """Euclidean products of values whose halves leave out as much as halves can."""
    rng = np.random.default_rng(dimension)
    worst = np.float32(1 + 2.0**-8 + 2.0**-9 - 2.0**-17 - 2.0**-23)  # both halves are rounded by almost half a unit
    queries = np.where(rng.random((37, dimension)) < 0.5, worst, rng.standard_normal((37, dimension)))
    images = np.where(rng.random((41, dimension)) < 0.5, worst, rng.standard_normal((41, dimension)))
    queries, images = queries.astype(np.float32), images.astype(np.float32)
    multiplier = way(is_cosine=False, dimension=dimension)
    found = multiplied(multiplier, queries, images)
    left, right = multiples(queries), multiples(images)
    twice_products, square = 2 * (left @ right.T), (right * right).sum(axis=1)
    twice_found = multiples(found) * 2 * 2**149
    error = abs(twice_found - (twice_products - square))
    magnitude = 2 * (abs(left) @ abs(right).T) + square
    largest = max(map(Fraction, error.ravel(), magnitude.ravel())) / ROUNDING
    assert largest <= Fraction(multiplier.proven.at_zero)
    if way is Tiles:
        assert largest > 20  # the case is a hard one: float32 products are far more precise


@pytest.mark.skipif(not amx.is_available(), reason="this processor has no matrix unit")
@pytest.mark.parametrize("shape", [(1, 1, 1), (33, 70, 45), (64, 96, 32), (100, 513, 130)])
def test_tiles_of_any_size_multiply_unit_rows(shape: tuple[int, int, int]) -> None:
    n_queries, n_images, dimension = shape
    rng = np.random.default_rng(n_images)
    queries = rng.standard_normal((n_queries, dimension)).astype(np.float32)
    images = rng.standard_normal((n_images, dimension)).astype(np.float32)
    images[0] *= np.float32(1e-20)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    found = multiplied(Tiles(is_cosine=True, dimension=dimension), queries, images)
    norm = np.linalg.norm(images.astype(np.float64), axis=1, keepdims=True)
    exact = queries.astype(np.float64) @ (images.astype(np.float64) / norm).T
    assert found.shape == (n_queries, n_images)
    assert np.abs(found - exact).max() < 300 * 2.0**-24


def test_a_small_job_does_not_try_the_matrix_unit() -> None:
    assert isinstance(products.fastest(1000, is_cosine=True, dimension=64), Blas)


def test_the_faster_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in ({"Tiles": 1.0, "Blas": 2.0}, {"Tiles": 2.0, "Blas": 1.0}):
        monkeypatch.setattr(products, "_seconds", lambda way, seconds=seconds: seconds[type(way).__name__])
        chosen = products.fastest(10**12, is_cosine=True, dimension=64)
        expected = min(seconds, key=seconds.__getitem__) if amx.is_available() else "Blas"
        assert type(chosen).__name__ == expected


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, kernel.RUN),
    first=st.integers(0, 40),
    share=st.floats(0, 1),
    n_buckets=st.integers(2, kernel.MOST_BUCKETS),
)
@example(seed=0, size=2, first=1, share=1e-8, n_buckets=2)
@settings(max_examples=60, deadline=None)
def test_values_above_the_lowest_point_are_listed_with_their_bucket(
    seed: int, size: int, first: int, share: float, n_buckets: int
) -> None:
    """Both ways list the same values, and the one for many values lists the others in bucket 0.

    Values that only rounding lifts to bucket 1, in which nothing is decided yet, may be listed there by the latter.
    """
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(first + size).astype(np.float32)
    values[rng.random(values.size) < 0.1] = -np.inf
    base, scale, top = (
        np.float32(np.quantile(values[np.isfinite(values)], share) if np.isfinite(values).any() else 0),
        (np.float32(n_buckets / 3)),
        np.float32(n_buckets),
    )
    expected = [
        (index << kernel.BUCKET_BITS) + int(min((values[index] - base) * scale, top) + np.float32(1))
        for index in range(first, first + size)
        if values[index] >= base
    ]
    pick = called_from_python(kernel._pick_above)
    ways = [(pick, True), (pick, False)]
    if kernel._has_avx512():
        ways.append((called_from_python(kernel._compress_above), False))
    for way, is_many in ways:
        above = np.zeros(kernel.RUN + kernel.VECTOR, np.uint32)
        buffers = np.ones(kernel.RUN, np.uint8), np.zeros(kernel.RUN // kernel.WORD + 1, np.int32)
        n_above = way(values, first, first + size, base, scale, top, is_many, above, *buffers)
        listed = above[:n_above].tolist()
        if is_many:
            assert len(listed) == size
            listed = [one for one in listed if one & int(kernel.BUCKET)]
            lifted = set(listed) - set(expected)
            assert all(one & int(kernel.BUCKET) == 1 for one in lifted)
            missing = [float(base) - float(values[one >> kernel.BUCKET_BITS]) for one in lifted]
            assert all(0 < gap * float(scale) <= 2.0**-24 for gap in missing)
            listed = [one for one in listed if one not in lifted]
        assert listed == expected
