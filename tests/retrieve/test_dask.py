"""Counting on Dask's workers: the counts of the definition, whatever the parts, the engines and the deaths."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_builders import (
    Distance,
    EngineInput,
    Make,
    duplicated,
    engine_input,
    expected,
    near_tied,
    random_half,
    random_rows,
    tied,
)

from piq_bench.cluster.connect import connected, local_cluster, refuse_unseen
from piq_bench.errors import BadSubmission, BadUsage
from piq_bench.read.mapped import map_array
from piq_bench.retrieve import cpu, dask, engines, plain
from piq_bench.retrieve.contract import Counts, Engine
from piq_bench.retrieve.similarity import Similarity

distributed = pytest.importorskip("distributed")
Cluster = Any  # distributed.LocalCluster
# Dask itself leaves sockets to the garbage collector and warns of much; what matters here is what is counted.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.xdist_group("dask")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, processes=False, dashboard_address=None) as found:
        yield found


def counted(given: EngineInput, cluster: Cluster, **options: object) -> Counts:
    all_options: dict[str, Any] = {"choose": engines.choose_on_worker, **options}
    return dask.count_ranks(*given, scheduler=cluster.scheduler_address, **all_options)


def in_file(given: EngineInput, path: Path) -> EngineInput:
    """The same input with its embedding in a mapped file, behind a header of 64 bytes."""
    similarity = given[0]
    path.write_bytes(bytes(64) + similarity.embedding.tobytes())
    flat = map_array(path, similarity.embedding.dtype, similarity.embedding.size, 64)
    mapped = flat.reshape(similarity.embedding.shape)
    again = Similarity(mapped, similarity.order, similarity.distance, similarity.norm, similarity.twin)
    Similarity.vectors(again, np.arange(len(mapped)))  # reading it once makes the hashes that workers compare with
    return again, *given[1:]


def shuffled(given: EngineInput, seed: int) -> EngineInput:
    """The same input with its rows stored in another order."""
    similarity = given[0]
    order = np.random.default_rng(seed).permutation(similarity.order.size)
    stored = np.empty_like(similarity.embedding)
    stored[order] = similarity.embedding
    return Similarity(stored, order, similarity.distance, similarity.norm, similarity.twin), *given[1:]


@pytest.mark.parametrize("make", [random_rows, random_half, tied, duplicated, near_tied])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_counts_are_those_of_the_definition_in_parts_of_any_size(
    cluster: Cluster, tmp_path: Path, make: Make, distance: Distance
) -> None:
    given = shuffled(engine_input(np.random.default_rng(7), make, distance, dimension=6), 1)
    above, ties = expected(given)
    for part_rows, source in [(70, given), (9, given), (23, in_file(given, tmp_path / "embedding"))]:
        steps: list[int] = []
        found = counted(source, cluster, part_rows=part_rows, advance=steps.append)
        assert found.above.tolist() == above
        assert found.tied.tolist() == ties
        assert sum(steps) == given[1].size
        assert len(steps) == -(-70 // part_rows)


def by_worker(n_pairs: int, threads: int) -> tuple[Engine, str]:
    """The plain engine on one worker, the compiled one on the other."""
    USED.add(name := distributed.get_worker().name)
    return partial(plain.count_ranks if name == 0 else cpu.count_ranks, threads=threads), ""


USED: set[object] = set()


def test_workers_may_use_different_engines(cluster: Cluster) -> None:
    given = engine_input(np.random.default_rng(8), near_tied, "cosine", dimension=8, n_gallery=200)
    USED.clear()
    found = counted(given, cluster, part_rows=10, choose=by_worker)
    assert (found.above.tolist(), found.tied.tolist()) == expected(given)
    assert {0, 1} == USED


def test_an_engine_is_chosen_for_all_parts_of_a_worker(cluster: Cluster) -> None:
    given = engine_input(np.random.default_rng(8), random_rows, "cosine", dimension=4)
    ASKED_PAIRS.clear()
    counted(given, cluster, part_rows=10, choose=noting)
    assert ASKED_PAIRS == [(12 * 70 // 2, 2)] * 7


ASKED_PAIRS: list[tuple[int, int]] = []


def noting(n_pairs: int, threads: int) -> tuple[Engine, str]:
    ASKED_PAIRS.append((n_pairs, threads))
    return engines.choose_on_worker(n_pairs, threads)


def test_a_worker_chooses_its_best_engine_and_keeps_to_its_threads() -> None:
    small, name = engines.choose_on_worker(10, 3)
    assert (small.func, small.keywords, name) == (plain.count_ranks, {"threads": 3}, plain.ENGINE)  # type: ignore[attr-defined]
    large, name = engines.choose_on_worker(engines.COMPILED_PAIRS // 8, 2)  # an eighth of what one machine asks
    assert (large.func, large.keywords, name) == (cpu.count_ranks, {"threads": 2}, cpu.ENGINE)  # type: ignore[attr-defined]


def test_a_file_is_mapped_by_workers_and_not_sent(cluster: Cluster, tmp_path: Path) -> None:
    given = in_file(engine_input(np.random.default_rng(9), random_rows, "cosine", dimension=4), tmp_path / "embedding")
    parts = dask._Parts.of(*given[:3], given[4], 30, 2)
    part, job = parts.part(2), parts.job(given[3], given[5], engines.choose_on_worker, 1)
    assert part.vectors is None
    assert part.file is not None
    assert job.query_vectors is None
    assert part.file.path == str(tmp_path / "embedding")
    assert part.rows.tolist() == list(range(72, 82))
    assert part.file.rows.tolist() == [*range(12), *range(72, 82)]


def test_a_deleted_file_is_sent(cluster: Cluster, tmp_path: Path) -> None:
    given = in_file(engine_input(np.random.default_rng(9), tied, "cosine", dimension=4), tmp_path / "embedding")
    (tmp_path / "embedding").unlink()
    found = counted(given, cluster, part_rows=30)
    assert (found.above.tolist(), found.tied.tolist()) == expected(given)


def test_a_file_that_differs_on_a_worker_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "embedding"
    given = in_file(engine_input(np.random.default_rng(9), random_rows, "cosine", dimension=4), path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)  # in place: it is still the same file
    with pytest.raises(BadSubmission, match="changed while it was read"):
        counted(given, cluster, part_rows=30)


ASKED: list[str] = []


def blind(path: str) -> bool:
    """Whether a worker sees a path: the first that is asked does not."""
    ASKED.append(path)
    return len(ASKED) > 1


def test_a_worker_that_does_not_see_the_file_is_named_before_work_begins(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    with connected(cluster.scheduler_address) as client:
        refuse_unseen(client, [str(tmp_path / "here")])
        with pytest.raises(BadUsage, match=r"1 worker does not see this path: 'inproc://") as refusal:
            refuse_unseen(client, ["/share/embedding.npy"], is_there=blind)
        assert refusal.value.problems[0].where == "/share/embedding.npy"
        with pytest.raises(BadUsage, match="2 workers do not see"):
            refuse_unseen(client, [str(tmp_path / "nowhere")])


def test_a_gallery_without_images_or_points_needs_no_workers() -> None:
    given = engine_input(np.random.default_rng(9), random_rows, "cosine", dimension=4)
    steps: list[int] = []
    none = np.zeros(0, dtype=np.int64)
    found = dask.count_ranks(
        given[0], given[1], none, *given[3:], scheduler="tcp://127.0.0.1:1", choose=by_worker, advance=steps.append
    )
    assert not found.above.any()
    assert sum(steps) == given[1].size


def dying(folder: Path, n_deaths: int) -> dask.Choose:
    """An engine whose process is killed in the middle of each of the first parts that are counted anywhere."""

    def choose(n_pairs: int, threads: int) -> tuple[Engine, str]:
        for death in range(n_deaths):
            try:
                (folder / f"{death}.{os.getpid()}").touch(exist_ok=False)
                (folder / str(death)).touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return engines.choose_on_worker(n_pairs, threads)

    return choose


@pytest.fixture(scope="module")
def processes() -> Iterator[Cluster]:
    with (
        import_module("dask").config.set({"distributed.deploy.lost-worker-timeout": "1ms"}),  # of Dask's own clusters
        local_cluster(n_workers=2, threads_per_worker=1) as found,
    ):
        yield found


@pytest.mark.parametrize(("n_deaths", "mapped"), [(1, True), (3, False)])
def test_counts_are_the_same_whichever_worker_is_killed_in_the_middle(
    processes: Cluster, tmp_path: Path, n_deaths: int, mapped: bool
) -> None:
    given = engine_input(np.random.default_rng(11), near_tied, "euclidean", dimension=5, n_gallery=120)
    above, ties = expected(given)
    if mapped:
        given = in_file(given, tmp_path / "embedding")
    found = counted(given, processes, part_rows=13, choose=dying(tmp_path, n_deaths))
    assert (found.above.tolist(), found.tied.tolist()) == (above, ties)
    assert sum(path.suffix == "" and path.name.isdigit() for path in tmp_path.iterdir()) == n_deaths
