"""Positives whose similarities start as products are ranked as if all of them had been computed by definition."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import builders
import numpy as np
import pytest
from engine_builders import EMBEDDINGS, Distance, Make, random_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.records import EmbeddingArray, FloatArray, IntArray
from piq_bench.retrieve import plain, positives
from piq_bench.retrieve.candidates import Candidates, find_candidates
from piq_bench.retrieve.contract import Counts, Engine
from piq_bench.retrieve.positives import count_positives
from piq_bench.retrieve.ragged import Ragged, owners, union
from piq_bench.retrieve.similarity import ROUNDING, Similarity


class Watched:
    """The plain engine, which notes how many queries it is given; it looks like another one, which keeps no table."""

    def __init__(self) -> None:
        self.n_queries: list[int] = []

    def __call__(
        self, similarity: Similarity, queries: IntArray, gallery: IntArray, points: FloatArray, excluded: Ragged,
        point_start: IntArray, *, advance: Callable[[int], None],
    ) -> Counts:  # fmt: skip
        self.n_queries.append(queries.size)
        for first, last in pairwise(point_start.tolist()):
            assert (np.diff(points[first:last]) >= 0).all()  # as the contract of an engine asks
        return plain.count_ranks(similarity, queries, gallery, points, excluded, point_start, advance=advance)


class Job:
    """The rows of a small benchmark, and what is counted around their positives."""

    def __init__(self, rng: np.random.Generator, make: Make, distance: Distance, dimension: int = 6) -> None:
        benchmark = builders.benchmark(rng, builders.Size(n_query=9, n_gallery=40, n_identities=3))
        embedding = make(rng, benchmark.test_rows.size, dimension)  # in the order of test rows
        self.submission = builders.submission(rng, benchmark, embedding, distance=distance)
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

    def count(self, engine: Engine) -> tuple[FloatArray, FloatArray, FloatArray, Counts]:
        steps: list[int] = []
        found = count_positives(
            self.similarity, self.candidates, self.queries, self.gallery, self.near, self.excluded, self.marked, engine,
            advance=steps.append,
        )  # fmt: skip
        assert sum(steps) == self.queries.size
        return found

    def places(self, engine: Engine) -> object:
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

    def copy_to_stranger(self, scale: int = 1) -> int:
        """Give another person the features of some query's first positive, times a factor; return the query."""
        own = self.candidates.positives
        query = int(np.flatnonzero(np.diff(own.start))[0])
        stranger = next(i for i in range(self.gallery.size) if i not in self.excluded[query])
        embedding = self.similarity.embedding.copy()
        embedding[self.gallery[stranger]] = scale * embedding[self.gallery[own[query][0]]]
        self.similarity = Similarity.of(replace(self.submission, embedding=embedding))
        return query

    def by_definition(self, monkeypatch: pytest.MonkeyPatch) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(positives, "_is_worth_compiling", lambda n_pairs: True)
            return self.places(Watched())


def repeated(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    """Some rows are those of other images, have their direction, or differ from them by one rounding."""
    values = random_rows(rng, n, dimension)
    copies = np.flatnonzero(rng.random(n) < rng.random())
    values[copies] = values[rng.integers(0, n, copies.size)]
    values[copies[rng.random(copies.size) < 0.3]] *= 2
    moved = copies[rng.random(copies.size) < 0.3]
    values[moved, 0] = np.nextafter(values[moved, 0], np.float32(9))
    return values


def watched_definition(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs are computed by definition, by call."""
    asked: list[int] = []
    exact_pairs = Similarity.exact_pairs

    def watched(self: Similarity, queries: IntArray, gallery: IntArray) -> FloatArray:
        asked.append(queries.size)
        return exact_pairs(self, queries, gallery)

    monkeypatch.setattr(Similarity, "exact_pairs", watched)
    return asked


@pytest.fixture(autouse=True)
def _small_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests load numba, from which on nothing is a small job."""
    monkeypatch.setattr(positives, "_is_worth_compiling", lambda n_pairs: False)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_images_far_apart_are_counted_once_and_never_computed_by_definition(
    distance: Distance, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    job, engine = Job(rng, random_rows, distance), Watched()
    expected = job.by_definition(monkeypatch)
    asked = watched_definition(monkeypatch)
    assert job.places(engine) == expected
    assert engine.n_queries == [job.queries.size]
    assert not sum(asked)


@pytest.mark.parametrize(("scale", "distance"), [(1, "cosine"), (1, "euclidean"), (2, "cosine")])
def test_another_person_with_the_features_of_a_positive_is_counted_by_definition(
    scale: int, distance: Distance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal rows are known before anything is counted; equal similarities of different rows are found by counting."""
    rng = np.random.default_rng(1)
    job = Job(rng, random_rows, distance)
    own = job.candidates.positives
    query = job.copy_to_stranger(scale)
    expected, engine = job.by_definition(monkeypatch), Watched()
    assert job.places(engine) == expected
    assert engine.n_queries[0] == job.queries.size
    assert (0 if scale == 1 else 1) <= sum(engine.n_queries[1:]) < (1 if scale == 1 else job.queries.size)
    *_, counts = job.count(Watched())
    assert counts.tied[own.start[query] : own.start[query + 1]].any()


def test_a_copied_image_costs_its_own_pairs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set with a few equal images is counted nearly as fast as one without."""
    rng = np.random.default_rng(1)
    job = Job(rng, random_rows, "cosine")
    own = job.candidates.positives
    job.copy_to_stranger()
    expected = job.by_definition(monkeypatch)
    asked = watched_definition(monkeypatch)
    assert job.places(Watched()) == expected
    # For each query of either person the positive that has a copy, and the copy where it is a candidate.
    assert 0 < sum(asked) <= 2 * job.queries.size < own.values.size


def noisy(rng: np.random.Generator, share: float) -> Callable[..., FloatArray]:
    """A product that is off by up to a share of its bound, as on a processor that adds in an unlucky order."""
    fast_table = Similarity.fast_table

    def product(self: Similarity, one: FloatArray, other: FloatArray, out: FloatArray | None = None) -> FloatArray:
        table = fast_table(self, one, other, out)
        longest = 1.0 if self.distance == "cosine" else 2.0 * ((one**2).sum(axis=1) + (other**2).sum(axis=1).max())
        size = share * 2.25 * (self.dimension + 8) * ROUNDING * longest
        table += np.broadcast_to(size, one.shape[0])[:, None] * rng.uniform(-1.0, 1.0, table.shape)
        return table

    return product


@pytest.mark.parametrize("engine", [Watched(), plain.count_ranks], ids=["product", "table"])
def test_a_near_duplicate_that_ties_with_a_positive_is_compared_by_definition(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no candidate, so no engine counts it."""
    rng = np.random.default_rng(0)
    job = Job(rng, random_rows, "cosine")
    own = job.candidates.positives
    query = next(q for q in range(job.queries.size) if own[q].size and job.near[q].size)
    embedding = job.similarity.embedding.copy()
    embedding[job.gallery[job.near[query][0]]] = 2 * embedding[job.gallery[own[query][0]]]
    job.similarity = Similarity.of(replace(job.submission, embedding=embedding))
    monkeypatch.setattr(Similarity, "fast_table", noisy(rng, 0.5))
    assert job.places(engine) == job.by_definition(monkeypatch)


@pytest.mark.parametrize("make", [*EMBEDDINGS, repeated])
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), distance=st.sampled_from(["cosine", "euclidean"]))
def test_places_are_those_by_definition(make: Make, seed: int, distance: Distance) -> None:
    rng = np.random.default_rng(seed)
    job = Job(rng, make, distance, dimension=int(rng.integers(1, 40)))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(positives, "PAIRS_AT_ONCE", int(rng.integers(1, 90)))
        monkeypatch.setattr(positives, "MANY_CROWDED", int(rng.choice([0, 20, 1000])))
        monkeypatch.setattr(plain, "MULTIPLIED_VALUES", int(rng.integers(1, 400)))
        monkeypatch.setattr(plain, "COUNTED_VALUES", int(rng.integers(1, 400)))
        monkeypatch.setattr(Similarity, "fast_table", noisy(rng, 0.5))
        assert job.places(Watched()) == job.places(plain.count_ranks) == job.by_definition(monkeypatch)


def test_many_images_alike_are_left_to_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(np.random.default_rng(0), lambda rng, n, dimension: np.ones((n, dimension), np.float32), "cosine")
    called: list[int] = []
    by_definition = positives._by_definition

    def watched(similarity: Similarity, candidates: Candidates, queries: IntArray, gallery: IntArray) -> FloatArray:
        called.append(1)
        return by_definition(similarity, candidates, queries, gallery)

    monkeypatch.setattr(positives, "_by_definition", watched)
    n_own = job.candidates.positives.values.size + job.near.values.size
    for most, n_calls in ((n_own, 0), (n_own - 1, 1)):
        monkeypatch.setattr(positives, "MANY_CROWDED", most)
        job.count(plain.count_ranks)
        assert len(called) == n_calls


def test_the_plain_engine_multiplies_a_small_job_once(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(np.random.default_rng(0), random_rows, "cosine")
    n_pairs = job.queries.size * job.gallery.size
    multiplied: list[int] = []
    fast_table = Similarity.fast_table

    def watched(self: Similarity, one: FloatArray, other: FloatArray, out: FloatArray | None = None) -> FloatArray:
        multiplied.append(len(one) * len(other))
        return fast_table(self, one, other, out)

    monkeypatch.setattr(Similarity, "fast_table", watched)
    for most in (n_pairs, n_pairs - 1):
        monkeypatch.setattr(plain, "TABLE_PAIRS", most)
        multiplied.clear()
        job.count(plain.count_ranks)
        assert (sum(multiplied) == n_pairs) == (most == n_pairs)


@pytest.mark.parametrize("engine", [Watched(), plain.count_ranks], ids=["product", "table"])
def test_errors_beyond_the_bound_would_be_noticed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Similarity, "fast_table", noisy(np.random.default_rng(0), 9.0))
    wrong = 0
    for seed in range(20):
        job = Job(np.random.default_rng(seed), repeated, "cosine")
        wrong += job.places(engine) != job.by_definition(monkeypatch)
    assert wrong
