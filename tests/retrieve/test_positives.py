"""Positives whose similarities start as products are ranked as if all of them had been computed by definition."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import builders
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.records import EmbeddingArray, FloatArray, IntArray
from piq_bench.retrieve import plain, positives
from piq_bench.retrieve.candidates import Candidates, find_candidates
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.positives import count_positives
from piq_bench.retrieve.ragged import Ragged, owners, union
from piq_bench.retrieve.similarity import Similarity

Distance = Literal["cosine", "euclidean"]


class Watched:
    """The plain engine, which notes how many queries it is given, and how many steps it reports."""

    def __init__(self) -> None:
        self.n_queries: list[int] = []
        self.n_steps = 0

    def __call__(
        self, similarity: Similarity, queries: IntArray, gallery: IntArray, points: FloatArray, excluded: Ragged,
        point_start: IntArray, *, advance: Callable[[int], None],
    ) -> Counts:  # fmt: skip
        self.n_queries.append(queries.size)
        for first, last in pairwise(point_start.tolist()):
            assert (np.diff(points[first:last]) >= 0).all()  # as the contract of an engine asks
        return plain.count_ranks(similarity, queries, gallery, points, excluded, point_start, advance=advance)

    def advance(self, steps: int) -> None:
        self.n_steps += steps


class Job:
    """The rows of a small benchmark, and what is counted around their positives."""

    def __init__(
        self, rng: np.random.Generator, embedding: Callable[[int], EmbeddingArray], distance: Distance
    ) -> None:
        benchmark = builders.benchmark(rng, builders.Size(n_query=9, n_gallery=40, n_identities=3))
        embeddings = embedding(benchmark.test_rows.size)  # in the order of test rows
        self.submission = builders.submission(rng, benchmark, embeddings, distance=distance)
        self.similarity = Similarity.of(self.submission)
        self.candidates: Candidates = find_candidates(benchmark)
        test_row = np.cumsum(benchmark.split != 0) - 1
        self.queries, self.gallery = test_row[self.candidates.query], test_row[self.candidates.gallery]
        own, near = self.candidates.positives, self.candidates.duplicates
        pairs = zip(owners(near).tolist(), near.values.tolist(), strict=True)
        is_other = np.array([image not in own[query] for query, image in pairs], dtype=bool)
        start = np.searchsorted(owners(near)[is_other], np.arange(self.queries.size + 1))
        self.near = Ragged(start, near.values[is_other])
        self.excluded = union(union(own, self.near), self.candidates.ignored)
        self.marked = np.flatnonzero(rng.random(own.values.size) < 0.3)

    def count(self, engine: Watched) -> tuple[FloatArray, FloatArray, FloatArray, Counts]:
        return count_positives(
            self.similarity, self.candidates, self.queries, self.gallery, self.near, self.excluded, self.marked, engine,
            advance=engine.advance,
        )  # fmt: skip

    def places(self, engine: Watched) -> object:
        """Counts, and how each query's own images compare with each other: the ranks of their similarities."""
        points, marked, near, counts = self.count(engine)
        start = self.candidates.positives.start
        of_marked, of_near = owners(self.candidates.positives)[self.marked], owners(self.near)
        ranks = []
        for query, (first, last) in enumerate(pairwise(start.tolist())):
            own = points[first:last]
            for values in (own, marked[of_marked == query], near[of_near == query]):
                ranks.append([np.searchsorted(own, values, side).tolist() for side in ("left", "right")])
        return counts.above.tolist(), counts.tied.tolist(), ranks

    def by_definition(self, monkeypatch: pytest.MonkeyPatch) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(positives, "_is_worth_compiling", lambda n_pairs: True)
            return self.places(Watched())


def spread(rng: np.random.Generator) -> Callable[[int], EmbeddingArray]:
    return lambda n: rng.standard_normal((n, 6)).astype(np.float32)


def repeated(rng: np.random.Generator, share: float) -> Callable[[int], EmbeddingArray]:
    """Some rows are those of other images, or differ from them by one rounding."""

    def make(n: int) -> EmbeddingArray:
        values = rng.standard_normal((n, 6)).astype(np.float32)
        copies = np.flatnonzero(rng.random(n) < share)
        values[copies] = values[rng.integers(0, n, copies.size)]
        moved = copies[rng.random(copies.size) < 0.5]
        values[moved, 0] = np.nextafter(values[moved, 0], np.float32(9))
        return values

    return make


@pytest.fixture(autouse=True)
def _small_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests load numba, from which on nothing is a small job."""
    monkeypatch.setattr(positives, "_is_worth_compiling", lambda n_pairs: False)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_images_far_apart_are_counted_once_and_never_computed_by_definition(
    distance: Distance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    job, engine = Job(rng, spread(rng), distance), Watched()
    expected = job.by_definition(monkeypatch)
    asked: list[int] = []
    exact_pairs = Similarity.exact_pairs

    def watched(self: Similarity, queries: IntArray, gallery: IntArray) -> FloatArray:
        asked.append(queries.size)
        return exact_pairs(self, queries, gallery)

    monkeypatch.setattr(Similarity, "exact_pairs", watched)
    assert job.places(engine) == expected
    assert engine.n_queries == [job.queries.size]
    assert not sum(asked)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_another_person_with_the_features_of_a_positive_is_counted_by_definition(
    distance: Distance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    job = Job(rng, spread(rng), distance)
    own = job.candidates.positives
    query = int(np.flatnonzero(np.diff(own.start))[0])
    stranger = next(i for i in range(job.gallery.size) if i not in job.excluded[query])
    embedding = job.similarity.embedding.copy()
    embedding[job.gallery[stranger]] = embedding[job.gallery[own[query][0]]]
    job.similarity = Similarity.of(replace(job.submission, embedding=embedding))
    expected, engine = job.by_definition(monkeypatch), Watched()
    assert job.places(engine) == expected
    assert engine.n_queries[0] == job.queries.size and 1 <= sum(engine.n_queries[1:]) < job.queries.size
    assert engine.n_steps == job.queries.size
    *_, counts = job.count(Watched())
    assert counts.tied[own.start[query] : own.start[query + 1]].any()


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.05, 0.3, 0.9]),
    distance=st.sampled_from(["cosine", "euclidean"]),
)
def test_places_are_those_by_definition(seed: int, share: float, distance: Distance) -> None:
    rng = np.random.default_rng(seed)
    job = Job(rng, repeated(rng, share), distance)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(positives, "_is_worth_compiling", lambda n_pairs: False)
        monkeypatch.setattr(positives, "PAIRS_AT_ONCE", int(rng.integers(1, 90)))
        assert job.places(Watched()) == job.by_definition(monkeypatch)


def test_a_smaller_bound_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many jobs with neighbouring images, some are ranked wrongly if products are taken for exact."""
    monkeypatch.setattr(positives, "SHARE", 0.0)
    wrong = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        job = Job(rng, repeated(rng, 0.9), "cosine")
        wrong += job.places(Watched()) != job.by_definition(monkeypatch)
    assert wrong
