"""Rankings by a matrix against a plain count over every candidate, and against those of the embedding it came from."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import builders
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieve.test_neighbours import Found
from retrieve.test_rankings import OWN_SEQUENCE, as_runs, expected_runs, plain_candidates

from piq_bench.read.mapped import is_mapped, map_array
from piq_bench.records import SAME_CAMERA, TRAIN, Benchmark, PairMatrix, Rule, Submission
from piq_bench.report.json import score_document
from piq_bench.retrieve import plain
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.matrix import MatrixSimilarity, read_ranks, similarity_of
from piq_bench.retrieve.neighbours import nearest
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.rankings import rank
from piq_bench.scoring.drilldown import drill_down
from piq_bench.scoring.score import score

Mode = Literal["components", "neighbours"] | None
RULES = ((), (SAME_CAMERA,), (OWN_SEQUENCE,))


def with_matrix(
    rng: np.random.Generator,
    benchmark: Benchmark,
    submission: Submission,
    *,
    is_distance: bool = True,
    drop_junk: bool = True,
    dtype: type = np.float32,
) -> Submission:
    """The submission with a shuffled matrix of its own similarities instead of its embedding."""
    assert submission.embedding is not None
    rows = submission.embedding.astype(np.float64).tolist()
    split, junk = benchmark.split[benchmark.test_rows], benchmark.junk[benchmark.test_rows]
    queries = rng.permutation(np.flatnonzero(split == 1))
    gallery = rng.permutation(np.flatnonzero((split == 2) & ~(junk & drop_junk)))
    values = np.array([[oracles.similarity(rows[q], rows[g], submission.distance) for g in gallery] for q in queries])
    place = np.full((2, split.size), -1)
    place[0, queries], place[1, gallery] = np.arange(queries.size), np.arange(gallery.size)
    stored: np.ndarray = (-values if is_distance else values).astype(dtype)
    return replace(submission, embedding=None, matrix=PairMatrix(stored, is_distance, *place))


def small_values(rng: np.random.Generator, benchmark: Benchmark) -> Submission:
    """Euclidean distances of small whole numbers: many ties, all exact in float16."""
    embedding = rng.integers(-3, 4, (benchmark.test_rows.size, 3)).astype(np.float32)
    return builders.submission(rng, benchmark, embedding, distance="euclidean")


def in_file(values: np.ndarray, path: Path) -> np.ndarray:
    values.tofile(path)
    mapped = map_array(path, values.dtype, values.size, 0).reshape(values.shape)
    assert is_mapped(mapped)
    return mapped


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    mode=st.sampled_from(["components", "neighbours", None]),
    rules=st.sampled_from(RULES),
    is_distance=st.booleans(),
    drop_junk=st.booleans(),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_rankings_equal_a_count_over_every_candidate(
    seed: int, mode: Mode, rules: tuple[Rule, ...], is_distance: bool, drop_junk: bool, dtype: type
) -> None:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, mode=mode, exclude=rules)
    by_embedding = small_values(rng, benchmark)
    by_matrix = with_matrix(rng, benchmark, by_embedding, is_distance=is_distance, drop_junk=drop_junk, dtype=dtype)
    candidates = find_candidates(benchmark)
    test_row = np.cumsum(benchmark.split != TRAIN) - 1
    found = rank(similarity_of(by_matrix), candidates, test_row, plain.count_ranks)
    for exclude in (True, False):
        runs = as_runs(found.rankings(0, candidates.query.size, exclude=exclude))
        expected = plain_candidates(benchmark, by_embedding, exclude_groups=exclude)
        assert runs == [expected_runs(own) for _, own in expected]


@pytest.mark.parametrize("mode", ["components", "neighbours", None])
def test_a_matrix_scores_like_the_embedding_it_came_from(mode: Mode) -> None:
    rng = np.random.default_rng(5)
    benchmark = builders.benchmark(rng, builders.Size(4, 12, 80, 5), mode=mode, exclude=(SAME_CAMERA,))
    by_embedding = small_values(rng, benchmark)
    one = score_document(score(benchmark, by_embedding, n_resamples=50))
    other_score = score(benchmark, with_matrix(rng, benchmark, by_embedding), n_resamples=50)
    other = score_document(other_score)
    for part in ("piq", "reid", "f1", "intervals", "aspects"):
        assert other[part] == one[part]
    assert other_score.submission["distance"] == "given" and other_score.submission["dimension"] is None
    assert other_score.piq is not None


def test_the_nearest_are_those_of_the_embedding() -> None:
    modes: tuple[Mode, ...] = ("components", "neighbours", None)
    for seed, mode in enumerate(modes):
        rng = np.random.default_rng(seed)
        benchmark = builders.benchmark(rng, builders.Size(4, 8, 60), mode=mode, exclude=RULES[seed])
        by_embedding = small_values(rng, benchmark)
        by_matrix = with_matrix(rng, benchmark, by_embedding)
        for k in (1, 4, 100):
            one, other = (lists(benchmark, each, k) for each in (by_embedding, by_matrix))
            assert one == other


def lists(benchmark: Benchmark, submission: Submission, k: int) -> Found:
    candidates = find_candidates(benchmark)
    found = nearest(
        similarity_of(submission),
        candidates,
        np.cumsum(benchmark.split != TRAIN) - 1,
        identity=benchmark.identity,
        queries=np.arange(candidates.query.size),
        k=k,
        engine="numpy",
    )
    return [[(n.rank, n.row, n.identity, n.similarity, n.is_positive, n.is_tied) for n in own] for own in found]


def test_the_detailed_report_has_its_lists() -> None:
    rng = np.random.default_rng(1)
    benchmark = builders.benchmark(rng)
    by_matrix = with_matrix(rng, benchmark, builders.submission(rng, benchmark))
    found = drill_down(benchmark, by_matrix, score(benchmark, by_matrix, n_resamples=0))
    assert found.worst and found.worst[0].neighbours


def test_blocks_threads_and_memory_change_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = rng.integers(0, 9, (30, 50)).astype(np.float32)
    place = np.stack([np.r_[rng.permutation(30), np.full(50, -1)], np.r_[np.full(30, -1), rng.permutation(50)]])
    drawn = [np.sort(rng.permutation(50)[: rng.integers(0, 9)]) for _ in range(30)]
    start = np.concatenate([[0], np.cumsum([own.size for own in drawn])])
    some = Ragged(start, np.concatenate(drawn).astype(np.int32))
    results = []
    for stored in (values, in_file(values, tmp_path / "values"), np.asfortranarray(values)):
        similarity = MatrixSimilarity(PairMatrix(stored, True, *place))
        for block_bytes, threads in ((1, 1), (1000, 3), (1 << 20, None)):
            finished: list[int] = []
            exact, other, counts = read_ranks(
                similarity, np.arange(30), 30 + np.arange(50), some, some, some,
                block_bytes=block_bytes, threads=threads, advance=finished.append,
            )  # fmt: skip
            assert sum(finished) == 30
            results.append([each.tolist() for each in (exact, other, counts.above, counts.tied)])
    assert all(result == results[0] for result in results)
    assert np.array_equal(values, MatrixSimilarity(PairMatrix(values, False, *place)).rows(np.argsort(place[0, :30])))


def test_scoring_does_not_write_to_the_matrix() -> None:
    rng = np.random.default_rng(3)
    benchmark = builders.benchmark(rng)
    by_matrix = with_matrix(rng, benchmark, small_values(rng, benchmark), is_distance=False)
    assert by_matrix.matrix is not None
    by_matrix.matrix.values.flags.writeable = False
    before = by_matrix.matrix.values.copy()
    score(benchmark, by_matrix, n_resamples=0)
    assert np.array_equal(by_matrix.matrix.values, before)


def test_neither_embedding_nor_matrix_is_a_mistake_of_the_caller() -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    bare = replace(builders.submission(rng, benchmark), embedding=None)
    with pytest.raises(ValueError, match="no embedding"):
        similarity_of(bare)
