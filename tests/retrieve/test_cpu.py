"""The compiled engine against the plain one: the same counts for all embeddings, blocks and threads."""

import threading
from collections.abc import Callable
from typing import Literal

import builders
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from piq_bench.records import EmbeddingArray, IntArray
from piq_bench.retrieve import amx, cpu, definition, kernel, plain
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.products import Blas, Tiles
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.similarity import Similarity

WAYS = (Blas, Tiles) if amx.is_available() else (Blas,)
Distance = Literal["cosine", "euclidean"]
Make = Callable[[np.random.Generator, int, int], EmbeddingArray]


def similarity_of(embedding: EmbeddingArray, distance: Distance = "cosine") -> Similarity:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng, builders.Size(n_query=1, n_gallery=2), mode=None)
    submission = builders.submission(rng, benchmark, embedding, distance=distance)
    object.__setattr__(submission, "order", np.arange(embedding.shape[0]))
    return Similarity.of(submission)


class Job:
    """Input of an engine: most queries have some positives, which are excluded together with two other images."""

    def __init__(self, similarity: Similarity, n_query: int, n_positives: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        n_gallery = similarity.order.size - n_query
        self.similarity = similarity
        self.queries, self.gallery = np.arange(n_query), n_query + rng.permutation(n_gallery)
        lists, points = [], []
        for query in self.queries:
            excluded = np.sort(rng.choice(n_gallery, min(n_gallery, n_positives + 2), replace=False))
            positives = rng.choice(excluded, min(n_positives, excluded.size) if query % 5 else 0, replace=False)
            lists.append(excluded)
            points.append(np.sort(similarity.exact_table(np.array([query]), self.gallery[positives])[0]))
        self.excluded = Ragged(np.cumsum([0, *map(len, lists)]), np.concatenate(lists))
        self.points, self.point_start = np.concatenate(points), np.cumsum([0, *map(len, points)])

    @property
    def given(
        self,
    ) -> tuple[Similarity, IntArray, IntArray, "np.ndarray[tuple[int], np.dtype[np.float64]]", Ragged, IntArray]:
        return self.similarity, self.queries, self.gallery, self.points, self.excluded, self.point_start


def equal(one: Counts, other: Counts) -> bool:
    return bool((one.above == other.above).all() and (one.tied == other.tied).all())


def clustered(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    centres = rng.standard_normal((5, dimension))
    return (centres[rng.integers(0, 5, n)] + rng.standard_normal((n, dimension)) / 2).astype(np.float32)


def near_tied(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    base = np.tile(rng.standard_normal(dimension).astype(np.float32), (n, 1))
    return np.nextafter(base, base + rng.choice([-1, 0, 1], base.shape).astype(np.float32), dtype=np.float32)


def tied(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return rng.choice([-1.0, 1.0], (n, dimension)).astype(np.float32)


def half(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return rng.standard_normal((n, dimension)).astype(np.float16)


def positive(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return np.abs(rng.standard_normal((n, dimension)) + 3).astype(np.float32)


def spread_norms(rng: np.random.Generator, n: int, dimension: int) -> EmbeddingArray:
    return (rng.standard_normal((n, dimension)) * 10.0 ** rng.uniform(-8, 8, (n, 1))).astype(np.float32)


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dimension", [1, 2, 3, 64, 512, 4096])
@pytest.mark.parametrize("make", [clustered, near_tied, tied, half, positive, spread_norms])
def test_counts_equal_those_of_the_plain_engine(make: Make, dimension: int, distance: Distance, guarded: bool) -> None:
    n_images, n_queries = (150, 20) if dimension < 4096 else (30, 6)  # the plain engine needs long for long vectors
    similarity = similarity_of(make(np.random.default_rng(dimension), n_images, dimension), distance)
    job = Job(similarity, n_queries, 9)
    expected = plain.count_ranks(*job.given)
    for way in WAYS:
        multiplier = way(is_cosine=distance == "cosine", dimension=dimension)
        assert equal(cpu.count_ranks(*job.given, guarded=guarded, multiplier=multiplier), expected)
        found = cpu.count_ranks(
            *job.given, guarded=guarded, multiplier=multiplier, query_block=3, gallery_block=37, threads=2
        )
        assert equal(found, expected)


def test_blocks_threads_and_passes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    job = Job(similarity_of(clustered(rng, 900, 8)), 60, 25)
    expected = plain.count_ranks(*job.given)
    for query_block, gallery_block, threads in ((1, 1, 1), (7, 100, 3), (64, 5000, 2)):
        found = cpu.count_ranks(*job.given, query_block=query_block, gallery_block=gallery_block, threads=threads)
        assert equal(found, expected)
    monkeypatch.setattr(cpu, "POINTS_AT_ONCE", 60)
    monkeypatch.setattr(cpu, "QUERIES_AT_ONCE", 7)
    assert equal(cpu.count_ranks(*job.given, threads=2), expected)


def test_more_points_than_a_short_table_holds() -> None:
    rng = np.random.default_rng(2)
    job = Job(similarity_of(clustered(rng, 40_000, 2)), 1, 33_000)
    assert equal(cpu.count_ranks(*job.given), plain.count_ranks(*job.given))


def test_the_float64_path_decides() -> None:
    """Without a margin for the error of float32, near ties are counted wrongly."""
    job = Job(similarity_of(near_tied(np.random.default_rng(3), 200, 64), "euclidean"), 20, 9)
    expected = plain.count_ranks(*job.given)
    assert equal(cpu.count_ranks(*job.given), expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "MARGIN", 1e-12)
        assert not equal(cpu.count_ranks(*job.given, guarded=False), expected)


def test_an_error_beyond_the_tried_bound_makes_it_count_again_with_the_proven_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Equal summands are all rounded the same way: the error grows with n, and the guard must see it."""
    rng = np.random.default_rng(4)
    base = np.full((200, 4096), 0.7123457, dtype=np.float32)
    base[:, :64] += rng.standard_normal((200, 64)).astype(np.float32) * 1e-4
    job = Job(similarity_of(base), 20, 9)
    proven = []
    points_of = cpu._points

    def watched(job: cpu._Job, *given: object) -> kernel.Points:
        proven.append(given[-1] is job.multiplier.proven)
        return points_of(job, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(cpu, "_points", watched)
    assert equal(cpu.count_ranks(*job.given), plain.count_ranks(*job.given))
    first = list(proven)
    monkeypatch.setattr(cpu, "GUARD", 1e-9)
    proven.clear()
    assert equal(cpu.count_ranks(*job.given), plain.count_ranks(*job.given))
    assert proven == [False, True]
    assert first in ([False], [False, True])  # depends on the order in which this machine's BLAS sums


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_points_far_above_all_others_are_counted_too(distance: Distance, dtype: type) -> None:
    """A query's near-duplicates stretch the range of its points; all points above the other images share a bucket."""
    rng = np.random.default_rng(11)
    queries = rng.standard_normal((20, 64))
    copies = np.repeat(queries, 30, axis=0) + 1e-3 * rng.standard_normal((600, 64))
    rows: EmbeddingArray = np.concatenate([queries, copies, rng.standard_normal((3000, 64))]).astype(dtype)
    job = Job(similarity_of(rows, distance), 20, 400)
    assert equal(cpu.count_ranks(*job.given, gallery_block=500), plain.count_ranks(*job.given))


def test_places_of_excluded_images_follow_the_file_and_ascend() -> None:
    excluded = Ragged(np.array([0, 3, 3, 5]), np.array([0, 2, 3, 1, 3]))
    assert cpu._places(np.array([0, 1, 2, 3]), excluded).tolist() == [0, 2, 3, 1, 3]
    assert cpu._places(np.array([3, 0, 2, 1]), excluded).tolist() == [0, 1, 2, 0, 3]  # 3 is stored first, 1 last


def test_a_failing_thread_ends_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(kernel, "count_block", fails)
    job = Job(similarity_of(clustered(np.random.default_rng(12), 900, 8)), 40, 5)
    n_threads = threading.active_count()
    with pytest.raises(MemoryError):
        cpu.count_ranks(*job.given, gallery_block=10, threads=2)
    assert threading.active_count() == n_threads


def test_progress_adds_up_to_the_number_of_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(similarity_of(clustered(np.random.default_rng(5), 500, 8)), 33, 5)
    for guard in (cpu.GUARD, 1e-9):
        monkeypatch.setattr(cpu, "GUARD", guard)
        done: list[int] = []
        cpu.count_ranks(*job.given, gallery_block=20, advance=done.append)
        assert sum(done) == 33
        assert min(done) >= 0


def test_an_interrupt_ends_all_threads_and_gives_blas_its_threads_back() -> None:
    job = Job(similarity_of(clustered(np.random.default_rng(6), 2000, 8)), 40, 5)
    n_threads, blas = threading.active_count(), threadpool_info()

    def interrupt(_: int) -> None:
        if threading.active_count() > n_threads:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cpu.count_ranks(*job.given, gallery_block=10, advance=interrupt)
    assert threading.active_count() == n_threads
    assert threadpool_info() == blas


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", [clustered, near_tied, tied, half, spread_norms])
def test_the_compiled_definition_equals_the_plain_one_to_the_last_bit(make: Make, distance: Distance) -> None:
    similarity = similarity_of(make(np.random.default_rng(7), 200, 33), distance)
    rows = np.arange(200)
    table = np.empty((11, rows.size))
    definition.write_exact(similarity, rows[:11], rows, table.reshape(-1), np.arange(11) * rows.size)
    assert (table == similarity.exact_table(rows[:11], rows)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_compiled_norms_and_twins_equal_the_plain_ones(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: EmbeddingArray = np.random.default_rng(8).standard_normal((300, 17)).astype(dtype)
    rows[100:200] = rows[:100]
    one = similarity_of(rows)
    monkeypatch.setattr("piq_bench.retrieve.similarity.COMPILE_FROM", 0)
    other = similarity_of(rows)
    assert one.norm.tolist() == other.norm.tolist()
    assert one.twin.tolist() == other.twin.tolist() == [*range(100), *range(100), *range(200, 300)]
