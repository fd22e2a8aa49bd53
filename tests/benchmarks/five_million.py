"""Scores a gallery of five million images: wall time and peak memory of `piq-score` on a small machine.

    python tests/benchmarks/five_million.py [FOLDER] [--gallery N] [--queries N] [--dimension N] [--csv] [--shuffled]

Writes a data set and a submission into FOLDER, or into a temporary one (2.8 GB), unless they are there already, and
scores them in a process of its own. 500 people have 40 gallery images each; all other images are unlabelled. Linux and
macOS.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow.csv import CSVWriter, WriteOptions

N_PEOPLE = 500
N_GALLERY_EACH = 40
IN_A_FILM = 10_000  # images per film
BLOCK_ROWS = 1 << 16
SIGNAL = 0.35  # standard deviation of a person's centre, where that of the noise is 1
NAME = "five-million"
LAUNCHER = """\
import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""  # a small process in between, since the peak of a process begins with that of its parent
BENCHMARK = f"""\
schema = "piq-bench/benchmark/1"
name = "{NAME}"
version = "1"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
"""


@dataclass(frozen=True)
class Sizes:
    """How many images and dimensions to write."""

    n_gallery: int = 5_000_000
    n_queries: int = 2_000
    dimension: int = 256

    @property
    def n_images(self) -> int:
        return self.n_gallery + self.n_queries


@dataclass(frozen=True)
class Run:
    """Measurements of one child process."""

    seconds: float
    peak_bytes: int
    output: str


def write(folder: Path, sizes: Sizes, *, csv: bool = False, shuffled: bool = False, seed: int = 0) -> None:
    """Write `folder/dataset` and `folder/submission`, block by block.

    Args:
        folder: an existing folder.
        sizes: sizes of data set and submission.
        csv: write the annotations as CSV instead of Parquet.
        shuffled: write the rows of each in a random order.
        seed: equal seeds give equal files.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    orders = [rng.permutation(sizes.n_images) if shuffled else np.arange(sizes.n_images) for _ in range(2)]
    person = people(rng, sizes)
    (folder / "dataset").mkdir()
    (folder / "submission").mkdir()
    (folder / "dataset" / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    write_annotations(folder / "dataset", sizes, person, orders[0], csv=csv)
    meta = {"name": "made up", "benchmark": NAME, "distance": "cosine"}
    (folder / "submission" / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    with (folder / "submission" / "image.npy").open("wb") as stream:
        start_array(stream, "<U15", (sizes.n_images,))
        for rows in blocks(orders[1]):
            stream.write(np.array(names(rows, sizes), dtype="<U15").tobytes())
    centres = rng.standard_normal((N_PEOPLE, sizes.dimension), dtype=np.float32) * np.float32(SIGNAL)
    with (folder / "submission" / "embedding.npy").open("wb") as stream:
        start_array(stream, "<f2", (sizes.n_images, sizes.dimension))
        for rows in blocks(orders[1]):
            values = rng.standard_normal((rows.size, sizes.dimension), dtype=np.float32)
            known = person[rows] >= 0
            values[known] += centres[person[rows][known]]
            stream.write(values.astype(np.float16).tobytes())


def people(rng: np.random.Generator, sizes: Sizes) -> NDArray[np.int64]:
    """Shape (n_images,); each image's person, gallery first: people are at random rows; every query has a person."""
    person = np.full(sizes.n_images, -1)
    labelled = min(N_PEOPLE * N_GALLERY_EACH, sizes.n_gallery)
    person[rng.permutation(sizes.n_gallery)[:labelled]] = np.arange(labelled) % N_PEOPLE
    person[sizes.n_gallery :] = np.arange(sizes.n_queries) % N_PEOPLE
    return person


def write_annotations(
    folder: Path, sizes: Sizes, person: NDArray[np.int64], order: NDArray[np.int64], *, csv: bool
) -> None:
    """Write annotations.csv or annotations.parquet."""
    tables = (
        pa.table(
            {
                "image": names(rows, sizes),
                "split": np.where(rows < sizes.n_gallery, "gallery", "query").tolist(),
                "identity": [f"p{number:03}" if number >= 0 else "" for number in person[rows].tolist()],
            }
        )
        for rows in blocks(order)
    )
    first = next(tables)
    with (
        CSVWriter(folder / "annotations.csv", first.schema, write_options=WriteOptions(quoting_style="none"))
        if csv
        else pq.ParquetWriter(folder / "annotations.parquet", first.schema)
    ) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def names(rows: NDArray[np.int64], sizes: Sizes) -> list[str]:
    """Image ids of up to 15 characters."""
    return [
        f"m{row // IN_A_FILM:03}/{row % IN_A_FILM:05}.jpg"
        if row < sizes.n_gallery
        else f"q/{row - sizes.n_gallery:05}.jpg"
        for row in rows.tolist()
    ]


def blocks(order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for first in range(0, order.size, BLOCK_ROWS):
        yield order[first : first + BLOCK_ROWS]


def start_array(stream: IO[bytes], descr: str, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})


def measured(command: Sequence[str]) -> Run:
    """Run a command; its peak memory is the resident memory, including pages of mapped files."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        peak, output = Path(folder, "peak"), Path(folder, "output")
        with output.open("wb") as stream:
            subprocess.run([sys.executable, "-S", "-c", LAUNCHER, str(peak), *command], stdout=stream, check=True)
        unit = 1 if sys.platform == "darwin" else 1024
        return Run(time.perf_counter() - start, int(peak.read_text()) * unit, output.read_text())


def score(folder: Path, *options: str) -> Run:
    """Run `piq-score` on what `write` wrote."""
    program = "from piq_bench.cli import piq_score; piq_score()"
    paths = (str(folder / "submission"), "--dataset", str(folder / "dataset"), "--partial")
    return measured([sys.executable, "-c", program, *paths, *options])


def main() -> None:
    """Parse options, write, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--gallery", type=int, default=Sizes.n_gallery)
    parser.add_argument("--queries", type=int, default=Sizes.n_queries)
    parser.add_argument("--dimension", type=int, default=Sizes.dimension)
    parser.add_argument("--csv", action="store_true", help="annotations as CSV instead of Parquet")
    parser.add_argument("--shuffled", action="store_true", help="rows of annotations and submission in random order")
    given = parser.parse_args()
    sizes = Sizes(given.gallery, given.queries, given.dimension)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if not (folder / "submission").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            write(folder, sizes, csv=given.csv, shuffled=given.shuffled)
            print(f"written in {time.perf_counter() - start:.0f} s", flush=True)
        run = score(folder)
    print(run.output)
    print(f"{sizes.n_queries:,} queries, {sizes.n_gallery:,} gallery images, {sizes.dimension} dimensions, float16")
    print(f"{run.seconds:.0f} s, {run.peak_bytes / 2**30:.2f} GiB at most resident")


if __name__ == "__main__":
    main()
