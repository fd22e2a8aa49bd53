"""Measures `--engine dask` on this machine: overhead per part, memory per worker, and a worker killed in the middle.

    python tests/benchmarks/dask_parts.py --gallery 1000000 --dimension 256 --workers 1 2 4

It writes a float16 file of random unit vectors into --folder, counts it without Dask and with each number of workers
(one thread each), kills one of the last workers while it counts, and prints one line per run. All counts must be equal.
"""

import argparse
import hashlib
import logging
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import distributed
import numpy as np

from piq_bench.read.mapped import map_array, row_blocks
from piq_bench.records import EmbeddingArray
from piq_bench.retrieve import cpu, dask, engines
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.similarity import Similarity

BLOCK = 1 << 16


def written(path: Path, n_rows: int, dimension: int) -> EmbeddingArray:
    rng = np.random.default_rng(0)
    if not path.exists() or path.stat().st_size != n_rows * dimension * 2:
        with path.open("wb") as stream:
            for first in range(0, n_rows, BLOCK):
                rows = rng.standard_normal((min(BLOCK, n_rows - first), dimension), dtype=np.float32)
                stream.write(rows.astype(np.float16).tobytes())
    mapped: EmbeddingArray = map_array(path, np.dtype(np.float16), n_rows * dimension, 0).reshape(n_rows, dimension)
    return mapped


def peak_bytes() -> int:
    """Largest resident memory of this process since it started."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def digest(counts: Counts) -> str:
    return hashlib.sha256(counts.above.tobytes() + counts.tied.tobytes()).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--gallery", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--points", type=int, default=20, help="per query")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--parts", type=int, nargs="+", default=[], help="rows per part, by the most workers")
    options = parser.parse_args()
    n_queries, n_gallery = options.queries, options.gallery
    embedding = written(options.folder / f"dask-{n_gallery}.f16", n_queries + n_gallery, options.dimension)
    start = time.perf_counter()
    norm = np.concatenate([np.linalg.norm(block.astype(np.float64), axis=1) for _, block in row_blocks(embedding)])
    print(f"read once, norms: {time.perf_counter() - start:.1f} s")
    rows = np.arange(n_queries + n_gallery)
    similarity = Similarity(embedding, rows, "cosine", norm, rows)
    queries, gallery = rows[:n_queries], rows[n_queries:]
    positives = np.sort(np.random.default_rng(1).integers(0, n_gallery, (n_queries, options.points)), axis=1)
    points = [np.sort(similarity.exact_table(queries[q : q + 1], gallery[own])[0]) for q, own in enumerate(positives)]
    starts = np.arange(n_queries + 1) * options.points
    none = Ragged(np.zeros(n_queries + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    given = (similarity, queries, gallery, np.concatenate(points), none, starts)
    for attempt in ("compiling or loading", "warm"):
        start = time.perf_counter()
        here = cpu.count_ranks(*given, threads=1)
        print(f"without Dask, 1 thread, {attempt}: {time.perf_counter() - start:.2f} s, {digest(here)}", flush=True)
    for n_workers in options.workers:
        logs = {"silence_logs": logging.CRITICAL, "dashboard_address": None}
        with distributed.LocalCluster(n_workers=n_workers, threads_per_worker=1, **logs) as cluster:  # type: ignore[no-untyped-call]
            measure(given, cluster, n_workers, None, here)
            last = n_workers == options.workers[-1]
            for part_rows in options.parts if last else []:
                measure(given, cluster, n_workers, part_rows, here)
            if last:
                measure(given, cluster, n_workers, None, here, kill=True)


def measure(
    given: Any,  # noqa: ANN401
    cluster: Any,  # noqa: ANN401
    n_workers: int,
    part_rows: int | None,
    here: Counts,
    *,
    kill: bool = False,
) -> None:
    killed: list[int] = []
    steps: list[int] = []
    with distributed.Client(cluster) as client:  # type: ignore[no-untyped-call]
        before = client.run(peak_bytes)
        victim = int(next(iter(client.run(os.getpid).values())))

    def advance(n: int) -> None:
        steps.append(n)
        if kill and not killed:
            killed.append(victim)
            threading.Timer(0.05, os.kill, (victim, signal.SIGKILL)).start()

    for attempt in ("first", "warm"):
        steps.clear()
        start = time.perf_counter()
        found = dask.count_ranks(
            *given,
            scheduler=cluster.scheduler_address,
            choose=engines.choose_on_worker,
            part_rows=part_rows,
            advance=advance,
        )
        seconds = time.perf_counter() - start
        with distributed.Client(cluster) as client:  # type: ignore[no-untyped-call]
            after = client.run(peak_bytes)
        grown = max(after[worker] - before.get(worker, 0) for worker in after) >> 20
        equal = digest(found) == digest(here)
        print(
            f"{n_workers} workers, {len(steps)} parts, {attempt}{', one killed' if kill else ''}: {seconds:.2f} s,"
            f" peak {max(after.values()) >> 20} MiB a worker (+{grown} since its start), digest"
            f" {'equal' if equal else 'DIFFERS'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
