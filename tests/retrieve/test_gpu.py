"""The GPU engine on torch's CPU device, and on a GPU if there is one: the same counts as any other engine."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from engine_builders import EMBEDDINGS, Distance, EngineInput, Make, engine_input, expected, random_half, random_rows

from piq_bench.errors import LimitExceeded
from piq_bench.records import IntArray
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.ragged import Ragged

torch = pytest.importorskip("torch")
gpu = pytest.importorskip("piq_bench.retrieve.gpu")
products = pytest.importorskip("piq_bench.retrieve.gpu_products")

DEVICES = [["cpu"], *([["cuda:0"]] if torch.cuda.is_available() else [])]


def seeded_input(make: Make, distance: Distance, dimension: int, seed: int = 0, **sizes: int) -> EngineInput:
    return engine_input(np.random.default_rng(seed), make, distance, dimension=dimension, **sizes)


def counted(given: EngineInput, **options: Any) -> tuple[list[int], list[int]]:  # noqa: ANN401
    found: Counts = gpu.count_ranks(*given, **{"devices": ["cpu"], **options})
    return found.above.tolist(), found.tied.tolist()


@pytest.mark.parametrize("devices", DEVICES, ids="".join)
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dimension", [1, 2, 3, 64, 512])
@pytest.mark.parametrize("make", EMBEDDINGS)
def test_counts_are_those_of_the_definition(make: Make, dimension: int, distance: Distance, devices: list[str]) -> None:
    given = seeded_input(make, distance, dimension)
    assert counted(given, devices=devices) == expected(given)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", [random_rows, random_half])
def test_many_dimensions(make: Make, distance: Distance) -> None:
    given = seeded_input(make, distance, 4096, n_queries=4, n_gallery=20)
    assert counted(given) == expected(given)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", EMBEDDINGS)
def test_blocks_chunks_panels_devices_and_precision_change_nothing(make: Make, distance: Distance) -> None:
    given = seeded_input(make, distance, 16, n_queries=7, n_gallery=16)
    true = expected(given)
    for options in (
        {"query_block": 1, "gallery_block": 1},
        {"query_block": 5, "gallery_block": 7, "chunk_bytes": 1},
        {"query_block": 3, "panel_bytes": 1},
        {"devices": ["cpu", "cpu", "cpu"], "gallery_block": 4, "chunk_bytes": 1},
        {"precision": "single"},
        {"precision": "double"},
    ):
        assert counted(given, **options) == true


def test_a_gallery_and_queries_without_points_may_be_empty() -> None:
    similarity, queries, gallery, _, _, _ = seeded_input(random_rows, "cosine", 8)
    none: IntArray = np.zeros(queries.size + 1, dtype=np.int64)
    nothing = Ragged(none, np.zeros(0, dtype=np.int32))
    found = gpu.count_ranks(similarity, queries, gallery, np.zeros(0), nothing, none, devices=["cpu"])
    assert found.above.size == 0
    start = np.arange(queries.size + 1)
    points = np.zeros(queries.size)
    found = gpu.count_ranks(similarity, queries, gallery[:0], points, nothing, start, devices=["cpu"])
    assert found.above.tolist() == found.tied.tolist() == [0] * queries.size


def test_larger_jobs_count_like_the_plain_engine() -> None:
    given = seeded_input(random_half, "cosine", 24, n_queries=150, n_gallery=3000, most_points=60)
    true = plain.count_ranks(*given)
    assert counted(given, gallery_block=700, query_block=64) == (true.above.tolist(), true.tied.tolist())


def test_progress_adds_up_to_the_number_of_queries() -> None:
    given = seeded_input(random_rows, "cosine", 8)
    done: list[int] = []
    counted(given, query_block=3, gallery_block=20, chunk_bytes=1, advance=done.append)
    assert sum(done) == given[1].size
    assert min(done) > 0


def test_the_definition_decides_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of equal terms in another order: float64 in any order is not the definition."""
    given = seeded_input(EMBEDDINGS[7], "cosine", 64)
    true = expected(given)
    assert counted(given) == true

    def any_order(queries: Any, gallery: Any, distance: Distance, row: Any, column: Any) -> Any:  # noqa: ANN401
        return products.near_pairs(queries, gallery, distance, row, column)[0]

    monkeypatch.setattr(products, "exact_pairs", any_order)
    assert counted(given) != true


def coarse(one: Any, other: Any) -> Any:  # noqa: ANN401
    """A product whose result is float32, but less precise."""
    return (one.bfloat16() @ other.bfloat16().T).float()


def test_a_table_outside_its_error_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The float64 sums of open pairs reveal it."""
    monkeypatch.setattr(gpu, "_products", lambda device, faiss: iter([coarse]))
    monkeypatch.setattr(products, "stays_within_bound", lambda *_: True)
    monkeypatch.setattr("piq_bench.retrieve.gpu_tally.OPEN_SHARE", 2.0)  # no float64 tables
    make = products.single_table

    def wide(*given: Any, **options: Any) -> Any:  # noqa: ANN401
        table = make(*given, **options)
        return replace(table, bound=table.bound * 100)  # wide enough for pairs to be open, too narrow for this product

    monkeypatch.setattr(products, "single_table", wide)
    with pytest.raises(RuntimeError, match="further from the definition than its error bound"):
        counted(seeded_input(random_rows, "cosine", 64, n_queries=40, n_gallery=2000, most_points=30))


def test_a_product_outside_its_error_bound_is_not_used() -> None:
    device = torch.device("cpu")
    assert products.stays_within_bound(products.torch_multiply, torch.float32, 64, device)
    assert not products.stays_within_bound(coarse, torch.float32, 64, device)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "_products", lambda device, faiss: iter([coarse]))
        given = seeded_input(random_rows, "cosine", 64)
        assert counted(given) == expected(given)


def test_float32_embeddings_have_no_half_precision() -> None:
    with pytest.raises(ValueError, match="no table in half precision"):
        counted(seeded_input(random_rows, "cosine", 8), precision="half")


def test_a_device_that_fails_stops_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(gpu.Tally, "add", full)
    for devices in (["cpu"], ["cpu", "cpu"]):
        with pytest.raises(LimitExceeded, match="too little free memory") as refusal:
            counted(seeded_input(random_rows, "cosine", 8), devices=devices)
        assert "--engine cpu" in str(refusal.value)


@pytest.mark.parametrize("step", ["_count_open", "_bisect"])
def test_a_block_that_runs_out_of_memory_half_way_is_counted_once(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its halves are counted instead: what the block itself had counted by then would count twice."""
    given = seeded_input(random_rows, "cosine", 64)  # pairs near a point stay open, the others are counted before them
    true, whole, calls = expected(given), getattr(gpu.Tally, step), []

    def limited(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        calls.append(step)
        if len(calls) == 1:
            raise torch.cuda.OutOfMemoryError
        return whole(*arguments, **options)

    monkeypatch.setattr(gpu.Tally, step, limited)
    assert counted(given) == true
    assert len(calls) > 1


def test_the_precision_that_a_process_has_chosen_is_restored() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        given = seeded_input(random_rows, "cosine", 64)
        assert counted(given) == expected(given)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_precision_chosen_by_the_newer_option_is_restored() -> None:
    matmul = torch.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("torch before 2.9")
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        with gpu.full_precision():
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == "tf32"
        given = seeded_input(random_rows, "cosine", 64)
        assert counted(given) == expected(given)
    finally:
        matmul.fp32_precision = before


def test_products_are_tested_on_the_device_that_will_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faiss uses the stream of the current device: tested on another one, it would not wait for its input."""
    current: list[object] = []

    @contextmanager
    def device(chosen: object) -> Iterator[None]:
        current.append(chosen)
        yield
        current.pop()

    tried: list[list[object]] = []
    real = gpu._tables

    def tables(*given: object) -> object:
        tried.append(list(current))
        return real(*given)

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(gpu, "_tables", tables)
    given = seeded_input(random_rows, "cosine", 8)
    assert counted(given) == expected(given)
    assert tried == [[-1]]


class Faiss:
    """The part of faiss that a product needs, with the names of its real bindings."""

    METRIC_INNER_PRODUCT = 0

    class StandardGpuResources:
        def setTempMemory(self, size: int) -> None:  # noqa: N802
            assert size == products.FAISS_MEMORY

        def setPinnedMemory(self, size: int) -> None:  # noqa: N802
            assert size == 0

    def __init__(self, failure: str = "") -> None:
        self.failure, self.inside = failure, 0

    def pairwise_distance_gpu(
        self,
        res: object,
        xq: Any,  # noqa: ANN401
        xb: Any,  # noqa: ANN401
        D: Any,  # noqa: ANN401, N803
        metric: int,
        device: int,
    ) -> None:
        assert (metric, device) == (self.METRIC_INNER_PRODUCT, 1)
        assert xq.is_contiguous() and xb.is_contiguous()
        self.inside += 1
        assert self.inside == 1
        if self.failure:
            raise RuntimeError(self.failure)
        torch.mm(xq.float(), xb.float().T, out=D)
        time.sleep(0.001)
        self.inside -= 1


def test_faiss_multiplies_for_one_thread_at_a_time() -> None:
    multiply = products.faiss_multiply(Faiss(), torch.device("cuda:1"))
    one, other = torch.rand(3, 8)[:, ::2], torch.rand(5, 4)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: multiply(one, other), range(8)):
            assert torch.equal(found, one @ other.T)


def test_too_little_memory_for_faiss_is_distinguished_from_its_other_failures() -> None:
    one = torch.rand(3, 4)
    device = torch.device("cuda:1")
    text = "StandardGpuResources: alloc fail type TemporaryMemoryBuffer (cudaMalloc error out of memory [2])"
    with pytest.raises(torch.cuda.OutOfMemoryError):
        products.faiss_multiply(Faiss(text), device)(one, one)
    with pytest.raises(RuntimeError, match="invalid argument") as failure:
        products.faiss_multiply(Faiss("invalid argument"), device)(one, one)
    assert not isinstance(failure.value, torch.cuda.OutOfMemoryError)


def test_a_gpu_that_is_full_before_the_first_block_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(products, "stays_within_bound", full)
    with pytest.raises(LimitExceeded, match="too little free memory"):
        counted(seeded_input(random_rows, "cosine", 8))
