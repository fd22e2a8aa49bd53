"""Multiplies queries with gallery images in float32, and bounds the errors of the products.

Two ways with one interface: `Blas` works everywhere; `Tiles` uses Intel's matrix unit, whose products are less precise
and take a fraction of the time. Both give the same counts, since whatever their error leaves open is decided in
float64. Bounds are numbers of roundings: multiples of 2**-24 and of the product's magnitude, |q| |g| under cosine.
"""

from collections.abc import Callable
from functools import partial
from math import sqrt
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from piq_bench.records import Float32Array, FloatArray
from piq_bench.retrieve import kernel

Factors = Any  # of a multiplier: arrays in whatever form it takes

ROUNDING = 2.0**-24  # relative error of one float32 operation
ROUNDINGS_AT_ZERO = 4.0  # tried for unit vectors with product 0: terms cancel, so partial sums and errors are small
EXTRA_ROUNDINGS = 16.0  # tried in addition to the root of the dimension
FACTOR_ROUNDINGS = 8.0  # of the factors and of the target
TILES_PRODUCTS = 1e11  # queries x gallery x dimension from which on it pays to compile and try the matrix unit
TRIAL = (256, 1024)  # queries and images of a trial
TRIALS = 5
SAFETY = 3.0  # a bound is tried that is this many times the largest error of a sample


class Bound:
    """What the error of a product may be: `at_zero` + `per_unit` x value, in roundings."""

    def __init__(self, at_zero: float, per_unit: float) -> None:
        self.at_zero, self.per_unit = at_zero, per_unit


class Multiplier(Protocol):
    """A way to multiply.

    Attributes:
        rows_together: numbers of queries of a product are multiples of this, but for the last.
        dimension: values of a row.
        proven: bound that holds for all rows.
    """

    rows_together: int
    dimension: int
    proven: Bound

    def tried(self, largest: float) -> Bound:
        """A smaller bound, which is likely to hold; `largest` is the largest error of a sample, in roundings."""
        ...

    def query_factors(self, n_queries: int) -> Factors:
        """Memory for left factors."""
        ...

    def image_factors(self, n_images: int) -> Factors:
        """Memory for right factors."""
        ...

    def fill_queries(self, factors: Factors, vectors: Float32Array, norm: FloatArray, first: int, last: int) -> None:
        """Write the left factors of queries `first` to `last`."""
        ...

    def fill_images(self, factors: Factors, images: kernel.Images) -> None:
        """Write the right factors of a block of images."""
        ...

    def buffer(self, n_queries: int, n_images: int) -> Float32Array:
        """Memory for products."""
        ...

    def multiply(
        self, queries: Factors, first: int, n_rows: int, images: Factors, n_images: int, buffer: Float32Array
    ) -> Float32Array:
        """Products of n_rows queries from `first` on, shape (n_rows or more, n_images or more)."""
        ...


class Blas:
    """Products of numpy's BLAS. Under euclidean distance a 1 pairs with an image's half square norm."""

    rows_together = 1

    def __init__(self, *, is_cosine: bool, dimension: int) -> None:
        self.is_cosine, self.dimension = is_cosine, dimension
        self.n_terms = dimension + (0 if is_cosine else 1)
        self.proven = Bound(dimension + FACTOR_ROUNDINGS, 0.0)

    def tried(self, largest: float) -> Bound:
        """The error grows like the root of the dimension, and with the value; a sample is not needed."""
        return _tried(self.proven, self.is_cosine, self.dimension, 0.0)

    def query_factors(self, n_queries: int) -> Float32Array:
        """Shape (n_queries, n_terms)."""
        return np.empty((n_queries, self.n_terms), dtype=np.float32)

    image_factors = query_factors

    def fill_queries(
        self, factors: Float32Array, vectors: Float32Array, norm: FloatArray, first: int, last: int
    ) -> None:
        """See `Multiplier`."""
        if self.is_cosine:
            kernel.unit_rows(vectors[first:last], norm[first:last], factors[first:last])
        else:
            factors[first:last, :-1] = vectors[first:last]
            factors[first:last, -1] = 1.0

    def fill_images(self, factors: Float32Array, images: kernel.Images) -> None:
        """See `Multiplier`."""
        factors = factors[: images.norm.size]
        if self.is_cosine:
            kernel.unit_rows(images.vectors, images.norm, factors)
        else:
            factors[:, :-1] = images.vectors
            factors[:, -1] = images.norm**2 / -2.0

    def buffer(self, n_queries: int, n_images: int) -> Float32Array:
        """See `Multiplier`."""
        return np.empty((n_queries, n_images), dtype=np.float32)

    def multiply(
        self,
        queries: Float32Array,
        first: int,
        n_rows: int,
        images: Float32Array,
        n_images: int,
        buffer: Float32Array,
    ) -> Float32Array:
        """See `Multiplier`."""
        products = buffer.reshape(-1)[: n_rows * n_images].reshape(n_rows, n_images)
        return np.matmul(queries[first : first + n_rows], images[:n_images].T, out=products)


class Tiles:
    """Products of the matrix unit; see `retrieve.amx`."""

    def __init__(self, *, is_cosine: bool, dimension: int) -> None:
        from piq_bench.retrieve import amx

        if not amx.is_available():
            raise RuntimeError("this process may not use a matrix unit")  # its instructions would end the process
        self.amx, self.is_cosine, self.dimension = amx, is_cosine, dimension
        self.rows_together = amx.PANEL
        self.proven = Bound(dimension + FACTOR_ROUNDINGS + amx.SPLIT_ROUNDINGS + amx.SUM_ROUNDINGS, 0.0)

    def tried(self, largest: float) -> Bound:
        """What the halves leave out depends on the values: most of it cancels, and a sample shows how much is left."""
        return _tried(self.proven, self.is_cosine, self.dimension, SAFETY * largest, self.amx.SPLIT_ROUNDINGS / 3.0)

    def query_factors(self, n_queries: int) -> Factors:
        """Panels of halves."""
        return self.amx.panels(n_queries, self.dimension)

    def image_factors(self, n_images: int) -> Factors:
        """Panels of halves, and a number that is added to the products of each image."""
        n_panels = -(-n_images // self.amx.PANEL)
        return self.amx.panels(n_images, self.dimension), self.amx.aligned((n_panels * self.amx.PANEL,), np.float32)

    def fill_queries(self, factors: Factors, vectors: Float32Array, norm: FloatArray, first: int, last: int) -> None:
        """See `Multiplier`."""
        self.amx.fill_rows(vectors, norm if self.is_cosine else np.ones_like(norm), first, last, factors)

    def fill_images(self, factors: Factors, images: kernel.Images) -> None:
        """See `Multiplier`."""
        halves, added = factors
        norm = images.norm
        self.amx.fill_columns(images.vectors, norm if self.is_cosine else np.ones_like(norm), halves)
        if not self.is_cosine:
            added[: norm.size] = norm**2 / -2.0

    def buffer(self, n_queries: int, n_images: int) -> Float32Array:
        """See `Multiplier`."""
        return self.amx.product_buffer(n_queries, n_images)

    def multiply(
        self, queries: Factors, first: int, n_rows: int, images: Factors, n_images: int, buffer: Float32Array
    ) -> Float32Array:
        """See `Multiplier`; `first` is a multiple of `rows_together`."""
        halves, added = images
        panel = self.amx.PANEL
        last = -(-(first + n_rows) // panel)
        self.amx.multiply(queries, first // panel, last, halves, -(-n_images // panel), added, buffer, self.amx.TILES)
        return buffer


def _tried(proven: Bound, is_cosine: bool, dimension: int, at_least: float, per_unit: float = 0.0) -> Bound:
    """A smaller bound where there is one. Unit vectors with a small product have a small error."""
    usual = sqrt(dimension) + EXTRA_ROUNDINGS
    at_zero = (ROUNDINGS_AT_ZERO if is_cosine else usual) + at_least
    if max(at_zero, usual) >= proven.at_zero:
        return proven
    return Bound(at_zero, per_unit + (usual - ROUNDINGS_AT_ZERO if is_cosine else 0.0))


def fastest(n_pairs: int, *, is_cosine: bool, dimension: int) -> Multiplier:
    """The faster way to multiply on this machine for a job of so many pairs, by trial."""
    blas = Blas(is_cosine=is_cosine, dimension=dimension)
    if n_pairs * dimension < TILES_PRODUCTS:
        return blas
    from piq_bench.retrieve import amx

    if not amx.is_available():
        return blas
    ways: list[Multiplier] = [Tiles(is_cosine=is_cosine, dimension=dimension), blas]
    with threadpool_limits(1, user_api="blas"):  # as in the engine, where each core multiplies on its own
        return min(ways, key=_seconds)


def _seconds(multiplier: Multiplier) -> float:
    """The shortest time of a product of random rows."""
    n_queries, n_images = TRIAL
    rng = np.random.Generator(np.random.PCG64(0))
    vectors = rng.random((n_queries, multiplier.dimension), dtype=np.float32)
    queries, images = multiplier.query_factors(n_queries), multiplier.image_factors(n_images)
    multiplier.fill_queries(queries, vectors, np.ones(n_queries), 0, n_queries)
    buffer = multiplier.buffer(n_queries, n_images)
    work = partial(multiplier.multiply, queries, 0, n_queries, images, n_images, buffer)
    return min(_timed(work) for _ in range(TRIALS))


def _timed(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began
