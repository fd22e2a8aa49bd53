"""Neighbours against a plain sort of every candidate, on embeddings that are random, tied, and nearly tied."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, Literal

import builders
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.records import NO_GROUP, SAME_CAMERA, TRAIN, Benchmark, EmbeddingArray, Rule, Submission
from piq_bench.retrieve import neighbours as module
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.neighbours import nearest
from piq_bench.retrieve.similarity import Similarity

OWN_SEQUENCE = Rule(("sequence",))
Distance = Literal["cosine", "euclidean"]
Found = list[list[tuple[int, int, int, float, bool, bool]]]
Make = Callable[[np.random.Generator, int], EmbeddingArray]


def random_rows(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.standard_normal((n, 6)).astype(np.float32)


def few_distinct(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.integers(-2, 3, (5, 3)).astype(np.float16)[rng.integers(0, 5, n)] + np.float16(0.5)


def constant(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return np.full((n, 4), 0.3, dtype=np.float32)


def nearly_tied(rng: np.random.Generator, n: int) -> EmbeddingArray:
    """Rows that differ in the last bit of their values: float32 products cannot order them."""
    base = np.tile(rng.standard_normal(5), (n, 1)).astype(np.float32)
    return np.nextafter(base, base + rng.integers(-1, 2, base.shape).astype(np.float32), dtype=np.float32)


def wide_range(rng: np.random.Generator, n: int) -> EmbeddingArray:
    """Norms from 1e-30 to 1e30."""
    return (rng.standard_normal((n, 3)) * 10.0 ** rng.integers(-30, 31, (n, 1))).astype(np.float32)


def one_dimension(rng: np.random.Generator, n: int) -> EmbeddingArray:
    return rng.integers(1, 6, (n, 1)).astype(np.float32)


MODES: tuple[Literal["components", "neighbours"] | None, ...] = ("components", "neighbours", None)
MAKERS: list[Make] = [random_rows, few_distinct, constant, nearly_tied, wide_range, one_dimension]


def expected(benchmark: Benchmark, submission: Submission) -> Found:
    """Every query's candidates, one by one, sorted: all of them."""
    assert submission.embedding is not None
    rows = submission.embedding[submission.order].astype(np.float64).tolist()
    test_row = dict(zip(benchmark.test_rows.tolist(), rows, strict=True))
    lists: Found = []
    for query in range(len(benchmark.images)):
        person = int(benchmark.identity[query])
        if benchmark.split[query] != 1 or person < 0 or benchmark.junk[query]:
            continue
        candidates = []
        for image in range(len(benchmark.images)):
            if benchmark.split[image] != 2 or benchmark.junk[image]:
                continue
            groups = benchmark.groups
            if groups is not None and groups.pairs is not None:
                if [min(query, image), max(query, image)] in groups.pairs.tolist():
                    continue
            elif groups is not None and groups.group[query] == groups.group[image] != NO_GROUP:
                continue
            cameras, sequences, sources = benchmark.camera, benchmark.sequence, benchmark.source
            assert cameras is not None and sequences is not None and sources is not None
            same_person = benchmark.identity[image] == person
            if SAME_CAMERA in benchmark.exclude and same_person and cameras[image] == cameras[query] != "":
                continue
            own = (sources[query], sequences[query])
            if (
                OWN_SEQUENCE in benchmark.exclude
                and own == (sources[image], sequences[image])
                and sequences[query] != ""
            ):
                continue
            value = oracles.similarity(test_row[query], test_row[image], submission.distance)
            candidates.append((-value, benchmark.images[image], image))
        values = [value for value, _, _ in candidates]
        lists.append(
            [
                (
                    place + 1,
                    image,
                    int(benchmark.identity[image]),
                    -value,
                    bool(benchmark.identity[image] == person),
                    values.count(value) > 1,
                )
                for place, (value, _, image) in enumerate(sorted(candidates))
            ]
        )
    return lists


def found(
    benchmark: Benchmark,
    submission: Submission,
    k: int,
    *,
    engine: Literal["faiss", "numpy", "gpu"] = "numpy",
    block_values: int = 1 << 22,
) -> Found:
    candidates = find_candidates(benchmark)
    lists = nearest(
        Similarity.of(submission),
        candidates,
        np.cumsum(benchmark.split != TRAIN) - 1,
        identity=benchmark.identity,
        queries=np.arange(candidates.query.size),
        k=k,
        engine=engine,
        block_values=block_values,
    )
    return [[(n.rank, n.row, n.identity, n.similarity, n.is_positive, n.is_tied) for n in own] for own in lists]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("engine", ["numpy", "faiss"])
def test_neighbours_are_the_first_of_all_candidates_sorted(
    make: Make, distance: Distance, engine: Literal["faiss", "numpy"], monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "faiss":
        pytest.importorskip("faiss")
    monkeypatch.setattr(module, "SPARE", 1)
    assert_first_of_all(make, distance, engine)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("way", ["cpu", "faiss on cpu", "imprecise faiss on cpu", "cuda:0"])
def test_neighbours_from_a_gpu_are_the_same(
    make: Make, distance: Distance, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_search = in_torch(way, monkeypatch)
    monkeypatch.setattr(module, "SPARE", 1)
    monkeypatch.setattr(module, "_search_of", lambda engine: gpu_search)
    assert_first_of_all(make, distance, "gpu")


@cache
def cases(make: Make, distance: Distance) -> list[tuple[Benchmark, Submission, Found]]:
    """Each with what is expected of it."""
    made = []
    for seed, mode in enumerate(MODES):
        rng = np.random.default_rng(seed)
        plain = builders.benchmark(rng, builders.Size(4, 8, 60), mode=mode, exclude=(SAME_CAMERA,) if seed == 1 else ())
        embedding = make(rng, plain.test_rows.size)
        for benchmark in (plain, replace(plain, exclude=(*plain.exclude, OWN_SEQUENCE))):
            submission = builders.submission(np.random.default_rng(seed), benchmark, embedding, distance=distance)
            made.append((benchmark, submission, expected(benchmark, submission)))
    return made


def assert_first_of_all(make: Make, distance: Distance, engine: Literal["faiss", "numpy", "gpu"]) -> None:
    for benchmark, submission, wanted in cases(make, distance):
        for k in (1, 4, 100):
            assert found(benchmark, submission, k, engine=engine) == [own[:k] for own in wanted]


class Faiss:
    """The part of faiss that a search on a GPU needs, with the names of its real bindings."""

    METRIC_INNER_PRODUCT = 0

    class StandardGpuResources:
        def setPinnedMemory(self, size: int) -> None:  # noqa: N802
            assert size == 0

    def __init__(self, *, is_precise: bool) -> None:
        self.is_precise, self.n_found = is_precise, 0

    def knn_gpu(
        self,
        res: object,
        xq: Any,  # noqa: ANN401
        xb: Any,  # noqa: ANN401
        k: int,
        D: Any,  # noqa: ANN401, N803
        I: Any,  # noqa: ANN401, E741, N803
        metric: int,
        device: int | None,
    ) -> None:
        assert (metric, device) == (self.METRIC_INNER_PRODUCT, None)
        assert 1 <= k <= 2048
        products = xq @ xb.T if self.is_precise else (xq.bfloat16() @ xb.bfloat16().T).float()
        values, images = products.topk(k)
        D.copy_(values)
        I.copy_(images)
        self.n_found += k


def in_torch(way: str, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """A search on a GPU, or on torch's CPU device, by torch or by a stand-in for faiss."""
    torch = pytest.importorskip("torch")
    from piq_bench.retrieve import gpu_neighbours

    if way == "cuda:0":
        if not torch.cuda.is_available():
            pytest.skip("no GPU")
        return gpu_neighbours.GpuSearch(way)
    search = gpu_neighbours.GpuSearch("cpu")
    if "faiss" in way:
        faiss: Any = Faiss(is_precise="imprecise" not in way)
        by_faiss = gpu_neighbours.by_faiss(faiss, search.device)
        monkeypatch.setattr(search, "_implementations", lambda: iter([by_faiss]))
    return search


def test_an_imprecise_implementation_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bfloat16 stands in for tf32."""
    rng = np.random.default_rng(0)
    queries, gallery = (rng.standard_normal((n, 64)).astype(np.float32) for n in (4, 50))
    exact = queries.astype(np.float64) @ gallery.astype(np.float64).T
    for way in ("faiss on cpu", "imprecise faiss on cpu"):
        values, images = in_torch(way, monkeypatch)(queries, gallery, 50)
        assert np.sort(images, axis=1).tolist() == [list(range(50))] * 4
        assert np.abs(values - np.take_along_axis(exact, images, axis=1)).max() < 1e-4
        assert (np.diff(values, axis=1) <= 0).all()


def test_faiss_is_never_asked_for_more_neighbours_than_its_limit_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (rng.standard_normal((n, 8)).astype(np.float32) for n in (2, 3000))
    search = in_torch("faiss on cpu", monkeypatch)
    for n_asked in (2048, 2049, 3000):
        values, images = search(queries, gallery, n_asked)
        order = np.argsort(-(queries @ gallery.T), axis=1, kind="stable")[:, :n_asked]
        assert values.shape == (2, n_asked)
        assert (images == order).mean() > 0.99  # float32 may swap neighbours


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    make=st.sampled_from(MAKERS),
    block_values=st.integers(1, 200),
    many=st.integers(1, 30),
    query_block=st.integers(1, 9),
)
def test_no_size_of_a_block_changes_a_list(
    seed: int, make: Make, block_values: int, many: int, query_block: int
) -> None:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng)
    submission = builders.submission(rng, benchmark, make(rng, benchmark.test_rows.size))
    whole = found(benchmark, submission, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MANY", many)
        patch.setattr(module, "SPARE", 0)
        patch.setattr(module, "QUERY_BLOCK", query_block)
        assert found(benchmark, submission, 3, block_values=block_values) == whole
    shuffled = rng.permutation(benchmark.test_rows.size)
    assert submission.embedding is not None
    object.__setattr__(submission, "order", np.argsort(shuffled))
    object.__setattr__(submission, "embedding", submission.embedding[shuffled])
    assert found(benchmark, submission, 3) == whole


def test_products_alone_would_give_another_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the bound, the list would depend on the rounding of float32."""
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng, builders.Size(4, 8, 60))
    submission = builders.submission(rng, benchmark, nearly_tied(rng, benchmark.test_rows.size))
    right = found(benchmark, submission, 4)
    monkeypatch.setattr(module, "ROUNDING", 0.0)
    monkeypatch.setattr(module, "SPARE", 0)
    assert found(benchmark, submission, 4) != right


def test_the_bound_holds_for_every_pair() -> None:
    rng = np.random.default_rng(0)
    for make in MAKERS:
        for distance in ("cosine", "euclidean"):
            benchmark = builders.benchmark(rng, builders.Size(0, 20, 200), mode=None)
            embedding = make(rng, benchmark.test_rows.size)
            similarity = Similarity.of(builders.submission(rng, benchmark, embedding, distance=distance))
            queries, gallery = np.arange(20), np.arange(20, 220)
            side = module._Factors.of(similarity, queries, gallery)
            products = np.hstack([side.queries @ block.T for _, block in side.gallery_blocks(1 << 22)])
            exact = similarity.exact_table(queries, gallery)
            if distance == "euclidean":
                exact = (exact + similarity.norm[queries][:, None] ** 2) / 2 / side.scale**2
                exact_error = 1e-13 * (similarity.norm[queries][:, None] / side.scale) ** 2  # of the line above
            else:
                exact_error = np.zeros((20, 1))
            assert (np.abs(products - exact) <= side.bound[:, None] + exact_error).all()


def test_faiss_is_named_if_it_is_requested_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    submission = builders.submission(rng, benchmark)
    with pytest.raises(ImportError, match="faiss"):
        found(benchmark, submission, 3, engine="faiss")
    candidates, test_row = find_candidates(benchmark), np.cumsum(benchmark.split != TRAIN) - 1
    one = np.zeros(1, dtype=np.int64)
    assert nearest(Similarity.of(submission), candidates, test_row, identity=benchmark.identity, queries=one, k=3)
