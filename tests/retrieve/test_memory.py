"""The plain engine never holds a Q x G matrix, whatever its size."""

import tracemalloc

import builders
import numpy as np

from piq_bench.retrieve import plain
from piq_bench.retrieve.candidates import Ragged
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
