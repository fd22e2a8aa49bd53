"""Measures time and memory of grouping 98,367 hashes, at the default threshold and for the whole sweep.

    python tests/benchmarks/group_pairs.py

Hashes are made as phash makes them: 64 numbers that fall off with frequency, compared with their median. Frames of a
track are a random walk, track lengths have a heavy tail, and 30 % of images are alone. "crowded" has longer tracks;
"one shot" is a single static scene under noise, in which nearly all images are near-duplicates: the worst case. Every
line is measured in a process of its own that loads its hashes from a file; memory is the peak above that after loading.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.group.build import group_hashed
from piq_bench.group.components import components
from piq_bench.group.hashing import HashedImages
from piq_bench.group.nodes import make_nodes
from piq_bench.records import NO_IDENTITY, Benchmark, Grouping, Task

N_IMAGES = 98_367
N_QUERIES = 12_361
N_SWEPT = 20_000  # images of "one shot" in the sweep; all of them take some minutes
TRACKS = {"usual": (8.0, 0.12), "crowded": (20.0, 0.10)}  # mean length, step


def walking_hashes(mean_length: float, step: float) -> NDArray[np.uint64]:
    """Hashes of tracks whose frames drift."""
    rng = np.random.Generator(np.random.PCG64(0))
    frequency = np.hypot(np.arange(8)[:, None], np.arange(8)[None, :]).ravel()
    tracks, n = [], 0
    while n < N_IMAGES:
        length = 1 if rng.random() < 0.3 else int(min(400, 1 + rng.pareto(1.3) * mean_length / 2, N_IMAGES - n))
        moves = rng.normal(size=(length, 64)) * step * (rng.random((length, 1)) < 0.7)
        tracks.append((rng.normal(size=64) + np.cumsum(moves, axis=0)) / (1 + frequency) ** 2)
        n += length
    values = np.concatenate(tracks)
    values[:, 0] = np.abs(values[:, 0]) + 1  # the constant term is above the median
    return over_median(values)


def one_shot(n_images: int) -> NDArray[np.uint64]:
    """Hashes of one image under noise."""
    rng = np.random.Generator(np.random.PCG64(0))
    return over_median(rng.normal(size=64) + rng.normal(size=(n_images, 64)) * 0.35)


def over_median(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """64 bits from 64 numbers: whether each is over their median."""
    median = np.sort(values, axis=1)[:, 31:33].mean(axis=1, keepdims=True)
    return np.packbits(values > median, axis=1).view(">u8")[:, 0].astype(np.uint64)


def benchmark_of(n_images: int) -> Benchmark:
    """A benchmark with random queries, 426 people, and a film for every 2,000 images."""
    rng = np.random.Generator(np.random.PCG64(1))
    split = np.where(rng.permutation(n_images) < N_QUERIES, 1, 2).astype(np.int64)
    identity = rng.integers(0, 426, n_images)[np.arange(n_images) // 8 * 8]
    identity[rng.random(n_images) < 0.6] = NO_IDENTITY
    nothing = np.zeros(n_images, dtype=np.bool_)
    return Benchmark(
        name="pairs", version="1", licence="none", tasks=(Task("reid", "reid", kind="retrieval"),), grouping=Grouping(),
        images=np.array([f"{i:08d}.jpg" for i in range(n_images)], dtype=object), split=split, identity=identity,
        identities=tuple(f"p{i:03d}" for i in range(426)), labels={}, junk=nothing, distractor=nothing,
        source=np.array([f"film{i // 2000:03d}" for i in range(n_images)], dtype=object), sequence=None, camera=None,
        groups=None,
    )  # fmt: skip


def memory(name: str) -> int:
    """A line of /proc/self/status, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


def measure(file: str, what: str) -> None:
    """Measure one case and print its line."""
    hashes: NDArray[np.uint64] = np.load(file)
    n = len(hashes)
    hashed = HashedImages(hashes, np.full(n, 20.0), np.arange(1, n + 1, dtype=np.uint64), np.ones(n, dtype=np.bool_))
    benchmark = benchmark_of(n)
    components(
        make_nodes(hashes[:9], bytes_hash=hashes[:9], readable=hashed.readable[:9], quality=hashed.quality[:9]), 6
    )
    before, start, busy = memory("VmRSS"), time.perf_counter(), time.process_time()
    if what == "t = 6":
        nodes = make_nodes(hashes, bytes_hash=hashed.bytes_hash, readable=hashed.readable, quality=hashed.quality)
        largest = int(np.bincount(components(nodes, 6)).max())
    else:
        largest = group_hashed(benchmark, hashed).sweep.levels[-1].largest
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = (memory("VmHWM") - before) / 1024
    print(
        f"{Path(file).stem:9} {what:6} {n:7} images {len(np.unique(hashes)):6} distinct {seconds:7.2f} s "
        f"({busy:.2f} s CPU) {peak:5.0f} MiB, largest {largest}"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], sys.argv[2])
    else:
        cases = {name: walking_hashes(*track) for name, track in TRACKS.items()} | {"one shot": one_shot(N_IMAGES)}
        with tempfile.TemporaryDirectory() as folder:
            for name, made in cases.items():
                for task in ("t = 6", "sweep"):
                    np.save(
                        Path(folder, f"{name}.npy"), made[: N_SWEPT if (name, task) == ("one shot", "sweep") else None]
                    )
                    subprocess.run([sys.executable, __file__, f"{folder}/{name}.npy", task], check=True)
