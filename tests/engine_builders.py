"""Inputs for an engine, small and seeded: embeddings random, tied, nearly tied, constant, or with extreme norms."""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import builders
import numba
import numpy as np

from piq_bench.records import EmbeddingArray, FloatArray, IntArray
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.similarity import Similarity

Distance = Literal["cosine", "euclidean"]
EngineInput = tuple[Similarity, IntArray, IntArray, FloatArray, Ragged, IntArray]
"""similarity, queries, gallery, points, excluded, point_start."""
Make = Callable[[np.random.Generator, int, int], EmbeddingArray]


@cache
def called_from_python(compiled: Any) -> Any:  # noqa: ANN401  (numba's functions have no types)
    """A compiled function that only compiled functions call (`numba_cache.inner`), for Python to call."""
    return numba.njit(compiled.py_func)


def random_rows(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return rng.standard_normal((n, dimension)).astype(np.float32)


def random_half(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return rng.standard_normal((n, dimension)).astype(np.float16)


def clustered_half(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    people = rng.standard_normal((5, dimension))[rng.integers(0, 5, n)]
    return (people + 0.01 * rng.standard_normal((n, dimension))).astype(np.float16)


def tied(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return (rng.integers(0, 2, (n, dimension)) * 2 - 1).astype(np.float32)


def duplicated(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return rng.standard_normal((4, dimension)).astype(np.float32)[rng.integers(0, 4, n)]


def constant_half(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return np.tile(rng.standard_normal(dimension).astype(np.float16), (n, 1))


def near_tied(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    """Neighbours of one vector in float32."""
    base = np.tile(rng.standard_normal(dimension).astype(np.float32), (n, 1))
    return np.nextafter(base, base + rng.choice([-1, 0, 1], base.shape).astype(np.float32), dtype=np.float32)


def permuted_half(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    """Two directions with their values shuffled: against a constant query, sums of equal terms in another order."""
    values = rng.standard_normal(dimension).astype(np.float16)
    rows = np.stack([rng.permutation(values) for _ in range(n)])
    rows[: n // 4] = 1
    return rows


def wild_norms(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    rows = rng.standard_normal((n, dimension)) * 10.0 ** rng.integers(-30, 30, (n, 1))
    return rows.astype(np.float32)


def wild_half(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return (rng.uniform(0.5, 1, (n, dimension)) * 10.0 ** rng.integers(-5, 5, (n, 1))).astype(np.float16)


EMBEDDINGS: list[Make] = [
    random_rows, random_half, clustered_half, tied, duplicated, constant_half, near_tied, permuted_half, wild_norms,
    wild_half,
]  # fmt: skip


def engine_input(
    rng: np.random.Generator,
    make: Make,
    distance: Distance,
    *,
    dimension: int,
    n_queries: int = 12,
    n_gallery: int = 70,
    most_points: int = 9,
) -> EngineInput:
    """Each query's points are those of some gallery images; most of these are excluded, with a few others."""
    embedding = make(rng, n_queries + n_gallery, dimension)
    benchmark = builders.benchmark(rng, builders.Size(n_query=1, n_gallery=2), mode=None)
    submission = builders.submission(rng, benchmark, embedding, distance=distance)
    object.__setattr__(submission, "order", np.arange(len(embedding)))
    similarity = Similarity.of(submission)
    queries, gallery = np.arange(n_queries), np.arange(n_queries, n_queries + n_gallery)
    n_points = rng.integers(0, most_points + 1, n_queries)
    positives = [np.sort(rng.choice(n_gallery, n, replace=False)) for n in n_points]
    points = [np.sort(similarity.exact_pairs(np.full(p.size, q), gallery[p])) for q, p in enumerate(positives)]
    excluded_images = [np.union1d(p, rng.integers(0, n_gallery, 2))[q % 3 :] for q, p in enumerate(positives)]
    excluded = Ragged(_starts([values.size for values in excluded_images]), np.concatenate(excluded_images))
    return similarity, queries, gallery, np.concatenate(points), excluded, _starts(n_points.tolist())


def expected(given: EngineInput) -> tuple[list[int], list[int]]:
    """The definition for every pair, counted one by one."""
    similarity, queries, gallery, points, excluded, start = given
    above, ties = [], []
    for query, row in enumerate(similarity.exact_table(queries, gallery).tolist()):
        excluded_images = set(excluded[query].tolist())
        others = [value for place, value in enumerate(row) if place not in excluded_images]
        for point in points[start[query] : start[query + 1]].tolist():
            above.append(sum(value > point for value in others))
            ties.append(sum(value == point for value in others))
    return above, ties


def _starts(sizes: list[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
