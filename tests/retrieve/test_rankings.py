"""Retrieval against a plain count over every candidate, on embeddings that are random, tied, and nearly tied."""

from collections.abc import Callable
from itertools import pairwise
from types import ModuleType
from typing import Literal

import builders
import numpy as np
import oracles
import pytest

from piq_bench.metrics.retrieval import Rankings
from piq_bench.records import (
    NO_GROUP,
    NO_IDENTITY,
    SAME_CAMERA,
    Benchmark,
    EmbeddingArray,
    IntArray,
    Rule,
    Submission,
)
from piq_bench.retrieve import cpu, plain
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.rankings import rank
from piq_bench.retrieve.similarity import Similarity

Distance = Literal["cosine", "euclidean"]
Make = Callable[[np.random.Generator, int], EmbeddingArray]


def random_rows(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.standard_normal((n, 6)).astype(np.float32)


def half_precision(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.standard_normal((n, 3)).astype(np.float16)


def few_values(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return (rng.integers(0, 2, (n, 3)) * 2 - 1).astype(np.float32)


def duplicated(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.standard_normal((4, 5)).astype(np.float32)[rng.integers(0, 4, n)]


def constant(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return np.tile(rng.standard_normal(7).astype(np.float32), (n, 1))


def near_tied(rng: np.random.Generator, n: int) -> EmbeddingArray:
    """Neighbouring float32 values: float32 products are equal or in the wrong order, float64 products are not."""
    base = np.tile(rng.standard_normal(16).astype(np.float32), (n, 1))
    return np.nextafter(base, base + rng.choice([-1, 0, 1], base.shape).astype(np.float32), dtype=np.float32)


def wild_norms(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return (rng.standard_normal((n, 4)) * 10.0 ** rng.integers(-18, 18, (n, 1))).astype(np.float32)


def one_dimension(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.choice([-2.0, -1.0, 1.0, 3.0], (n, 1)).astype(np.float32)


OWN_SEQUENCE = Rule(("sequence",))
EMBEDDINGS: list[Make] = [
    random_rows, half_precision, few_values, duplicated, constant, near_tied, wild_norms, one_dimension,
]  # fmt: skip


def plain_candidates(
    benchmark: Benchmark, submission: Submission, *, exclude_groups: bool = True
) -> list[tuple[str, list[oracles.Candidate]]]:
    """Identity and (similarity, is positive) of the candidates of each query with an identity, exactly as specified."""
    rows = {int(row): i for i, row in enumerate(benchmark.test_rows)}
    assert submission.embedding is not None
    values = submission.embedding.astype(np.float64).tolist()
    pairs = set() if benchmark.groups is None or benchmark.groups.pairs is None else {
        frozenset(pair) for pair in benchmark.groups.pairs.tolist()
    }  # fmt: skip
    found = []
    for q in rows:
        if benchmark.split[q] != 1 or benchmark.identity[q] == NO_IDENTITY:
            continue
        candidates = []
        for g in rows:
            if benchmark.split[g] != 2 or benchmark.junk[g]:
                continue
            same = benchmark.identity[g] == benchmark.identity[q]
            if benchmark.groups is not None and exclude_groups:
                near = benchmark.groups.group[g] == benchmark.groups.group[q] != NO_GROUP
                if {q, g} in pairs if benchmark.groups.pairs is not None else near:
                    continue
            camera, sequence, source = benchmark.camera, benchmark.sequence, benchmark.source
            assert camera is not None and sequence is not None and source is not None
            if SAME_CAMERA in benchmark.exclude and same and camera[q] == camera[g]:
                continue
            if (
                OWN_SEQUENCE in benchmark.exclude
                and sequence[q]
                and sequence[q] == sequence[g]
                and source[q] == source[g]
            ):
                continue
            value = oracles.similarity(values[rows[q]], values[rows[g]], submission.distance)
            candidates.append((value, bool(same)))
        found.append((benchmark.identities[benchmark.identity[q]], candidates))
    return found


def rankings(
    benchmark: Benchmark,
    submission: Submission,
    *,
    count: Callable[..., Counts] = plain.count_ranks,
    **options: int,
) -> tuple[Rankings, Rankings]:
    candidates = find_candidates(benchmark)

    def engine(
        similarity: Similarity,
        queries: IntArray,
        gallery: IntArray,
        points: "np.ndarray[tuple[int], np.dtype[np.float64]]",
        excluded: Ragged,
        point_start: IntArray,
        *,
        advance: Callable[[int], None],
    ) -> Counts:
        return count(similarity, queries, gallery, points, excluded, point_start, advance=advance, **options)

    test_row = np.cumsum(benchmark.split != 0) - 1
    found = rank(Similarity.of(submission), candidates, test_row, engine)
    n_queries = candidates.query.size
    return found.rankings(0, n_queries, exclude=True), found.rankings(0, n_queries, exclude=False)


def as_runs(rankings: Rankings) -> list[list[tuple[int, int, int]]]:
    runs = list(zip(*(x.tolist() for x in (rankings.n_positives, rankings.n_images, rankings.n_above)), strict=True))
    return [runs[first:last] for first, last in pairwise(rankings.start.tolist())][::-1]  # last query first


def expected_runs(candidates: list[oracles.Candidate]) -> list[tuple[int, int, int]]:
    above, kept = 0, []
    for n_positives, n_images in oracles.runs(candidates):
        if n_positives:
            kept.append((n_positives, n_images, above))
        above += n_images
    return kept


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", EMBEDDINGS)
@pytest.mark.parametrize("mode", ["components", "neighbours", None])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("engine", [plain, cpu])
def test_rankings_equal_a_count_over_every_candidate(
    engine: ModuleType,
    make: Make,
    distance: Distance,
    mode: Literal["components", "neighbours"] | None,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("piq_bench.retrieve.positives._is_worth_compiling", lambda n_values: engine is cpu)
    monkeypatch.setattr("piq_bench.retrieve.similarity.FEW_PAIRS", 4 * seed)
    rng = np.random.default_rng(seed)
    rules = ((), (SAME_CAMERA,), (OWN_SEQUENCE,))[seed]
    benchmark = builders.benchmark(rng, mode=mode, exclude=rules)
    submission = builders.submission(rng, benchmark, make(rng, benchmark.test_rows.size), distance=distance)
    excluded, included = rankings(benchmark, submission, count=engine.count_ranks)
    for exclude_groups, found in ((True, excluded), (False, included)):
        expected = plain_candidates(benchmark, submission, exclude_groups=exclude_groups)
        assert as_runs(found) == [expected_runs(c) for _, c in expected]


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", EMBEDDINGS)
def test_block_size_and_threads_change_nothing(make: Make, distance: Distance) -> None:
    rng = np.random.default_rng(7)
    benchmark = builders.benchmark(rng, builders.Size(n_query=10, n_gallery=30))
    submission = builders.submission(rng, benchmark, make(rng, benchmark.test_rows.size), distance=distance)
    plain = [as_runs(found) for found in rankings(benchmark, submission)]
    for query_block, gallery_block, threads in ((1, 1, 1), (3, 7, 2), (64, 5, 1), (2, 1000, 4)):
        blocks = rankings(benchmark, submission, query_block=query_block, gallery_block=gallery_block, threads=threads)
        assert [as_runs(found) for found in blocks] == plain


@pytest.mark.parametrize("engine", [plain, cpu])
def test_vectors_without_length_all_tie(engine: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their distances are 0 and so are the error bounds: no range of values is left to divide."""
    monkeypatch.setattr("piq_bench.retrieve.positives._is_worth_compiling", lambda n_pairs: engine is cpu)
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    zeros = np.zeros((benchmark.test_rows.size, 4), dtype=np.float32)
    submission = builders.submission(rng, benchmark, zeros, distance="euclidean")
    found, _ = rankings(benchmark, submission, count=engine.count_ranks)
    assert as_runs(found) == [expected_runs(c) for _, c in plain_candidates(benchmark, submission)]


def test_the_order_of_stored_rows_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    benchmark = builders.benchmark(rng)
    submission = builders.submission(rng, benchmark, near_tied(rng, benchmark.test_rows.size))
    assert submission.embedding is not None
    order = rng.permutation(benchmark.test_rows.size)
    stored: EmbeddingArray = np.asfortranarray(submission.embedding[order]).astype(np.float32, order="K")
    shuffled = builders.submission(rng, benchmark, stored)
    object.__setattr__(shuffled, "order", np.argsort(order))
    one, other = rankings(benchmark, submission), rankings(benchmark, shuffled)
    assert [as_runs(x) for x in one] == [as_runs(x) for x in other]


def test_the_definition_decides_where_float32_products_tie() -> None:
    """Two gallery rows whose float32 products with the query are equal, but whose float64 products differ."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal(64).astype(np.float32)
    base /= np.linalg.norm(base)
    rows = [base, base.copy(), base.copy()]
    for i in range(64):
        rows[2] = base.copy()
        rows[2][i] = np.nextafter(base[i], np.float32(0), dtype=np.float32)
        products = np.stack(rows[1:]) @ base
        exact = [oracles.similarity(base.tolist(), row.tolist(), "euclidean") for row in rows[1:]]
        if products[0] == products[1] and exact[0] != exact[1]:
            break
    else:
        pytest.fail("no such pair among 64")
    similarity = Similarity.of(
        builders.submission(
            rng,
            builders.benchmark(rng, builders.Size(n_train=0, n_query=1, n_gallery=2)),
            np.stack(rows),
            distance="euclidean",
        )
    )
    counts = plain.count_ranks(
        similarity,
        np.array([0]),
        np.array([1, 2]),
        np.array([exact[1]]),
        Ragged(np.array([0, 0]), np.zeros(0, dtype=np.int64)),
        np.array([0, 1]),
    )
    assert (counts.above.tolist(), counts.tied.tolist()) == ([1], [1])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", [*EMBEDDINGS])
def test_fast_products_stay_within_the_error_bound(make: Make, distance: Distance) -> None:
    rng = np.random.default_rng(11)
    benchmark = builders.benchmark(rng)
    submission = builders.submission(rng, benchmark, make(rng, benchmark.test_rows.size), distance=distance)
    similarity = Similarity.of(submission)
    rows = np.arange(benchmark.test_rows.size)
    fast = similarity.fast_table(similarity.vectors(rows), similarity.vectors(rows))
    exact = similarity.exact_table(rows, rows)
    assert (np.abs(fast - exact) <= similarity.error_bound(rows, rows)[:, None]).all()
    pairs = similarity.exact_pairs(np.repeat(rows, rows.size), np.tile(rows, rows.size))
    assert (pairs.reshape(exact.shape) == exact).all()


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", EMBEDDINGS)
def test_similarities_are_the_plain_loop_to_the_last_bit(make: Make, distance: Distance) -> None:
    rng = np.random.default_rng(5)
    benchmark = builders.benchmark(rng, builders.Size(n_query=3, n_gallery=6))
    submission = builders.submission(rng, benchmark, make(rng, benchmark.test_rows.size), distance=distance)
    assert submission.embedding is not None
    values = submission.embedding.astype(np.float64).tolist()
    rows = np.arange(len(values))
    table = Similarity.of(submission).exact_table(rows, rows)
    assert table.tolist() == [[oracles.similarity(a, b, distance) for b in values] for a in values]
