"""The plain engine never holds a Q x G matrix, whatever its size; a rule holds little more than whom it excludes."""

import tracemalloc
from collections.abc import Callable

import builders
import numpy as np

from piq_bench.records import SAME_CAMERA, FloatArray, IntArray, Rule
from piq_bench.retrieve import plain
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.rankings import rank
from piq_bench.retrieve.similarity import Similarity


def test_memory_follows_the_blocks_and_not_the_gallery() -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng, builders.Size(n_query=1, n_gallery=2), mode=None)
    n_query, n_gallery = 400, 10_000
    embedding = rng.standard_normal((n_query + n_gallery, 8)).astype(np.float32)
    submission = builders.submission(rng, benchmark, embedding)
    object.__setattr__(submission, "order", np.arange(n_query + n_gallery))
    similarity = Similarity.of(submission)
    queries, gallery = np.arange(n_query), np.arange(n_query, n_query + n_gallery)
    excluded = Ragged(np.zeros(n_query + 1, dtype=np.int64), np.zeros(0, dtype=np.int64))
    tracemalloc.start()
    plain.count_ranks(
        similarity,
        queries,
        gallery,
        np.zeros(n_query),
        excluded,
        np.arange(n_query + 1),
        query_block=16,
        gallery_block=512,
        threads=1,
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < n_query * n_gallery * 4 / 20  # a matrix of float32 would take 20 times as much


def test_a_rule_that_excludes_half_the_gallery_needs_a_few_bytes_for_each_pair() -> None:
    rng = np.random.default_rng(1)
    size = builders.Size(n_query=500, n_gallery=1500, n_identities=80)
    benchmark = builders.benchmark(rng, size, mode=None, exclude=(Rule(("camera",)), SAME_CAMERA))  # two cameras
    similarity = Similarity.of(builders.submission(rng, benchmark))
    n_excluded = []

    def engine(
        similarity: Similarity, queries: IntArray, gallery: IntArray, points: FloatArray, excluded: Ragged,
        point_start: IntArray, *, advance: Callable[[int], None],
    ) -> Counts:  # fmt: skip
        n_excluded.append(excluded.values.size)
        return Counts.zero(points.size)

    test_row = np.cumsum(benchmark.split > 0) - 1
    rank(similarity, find_candidates(benchmark), test_row, engine)  # where numba is loaded, it compiles now
    tracemalloc.start()
    rank(similarity, find_candidates(benchmark), test_row, engine)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_excluded[0] > size.n_query * size.n_gallery / 3
    assert peak < 30 * n_excluded[0]
