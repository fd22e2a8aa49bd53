"""Small data sets to group: records, hashes and image files."""

import csv
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from piq_bench.group.hashing import HashedImages
from piq_bench.records import NO_IDENTITY, SAME_CAMERA, SPLITS, Benchmark, Grouping, Task

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Layout = Literal["folder", "market1501", "table"]


@dataclass(frozen=True)
class Row:
    """One line of annotations."""

    image: str
    split: str = "gallery"
    identity: str = ""
    source: str = ""
    camera: str = ""
    junk: bool = False


def benchmark_of(
    rows: Sequence[Row],
    *,
    grouping: Grouping = Grouping(),  # noqa: B008  (frozen)
    root: Path | None = None,
    sources: bool = True,
    exclude_same_camera: bool = False,
    layout: Layout = "folder",
) -> Benchmark:
    """A benchmark of one re-id task; rows in any order."""
    rows = sorted(rows, key=lambda row: row.image)
    identities = sorted({row.identity for row in rows} - {""})
    return Benchmark(
        name="made",
        version="1",
        licence="none",
        tasks=(Task("reid", "reid", kind="retrieval"),),
        grouping=grouping,
        images=np.array([row.image for row in rows], dtype=object),
        split=np.array([SPLITS.index(row.split) for row in rows], dtype=np.int64),
        identity=np.array(
            [identities.index(row.identity) if row.identity else NO_IDENTITY for row in rows], dtype=np.int64
        ),
        identities=tuple(identities),
        labels={},
        junk=np.array([row.junk for row in rows], dtype=np.bool_),
        distractor=np.zeros(len(rows), dtype=np.bool_),
        source=np.array([row.source for row in rows], dtype=object) if sources else None,
        sequence=None,
        camera=np.array([row.camera for row in rows], dtype=object),
        groups=None,
        exclude=(SAME_CAMERA,) if exclude_same_camera else (),
        root=root,
        layout=layout,
    )


def real_benchmark(name: str) -> Benchmark:
    """A data set of real images, read without the package's reader."""
    root = REAL_DATA / name
    with (root / "annotations.csv").open(encoding="utf-8") as stream:
        rows = [Row(line["image"], line["split"], line["identity"], line["source"]) for line in csv.DictReader(stream)]
    asked = tomllib.loads((root / "benchmark.toml").read_text(encoding="utf-8"))["grouping"]
    return benchmark_of(rows, grouping=Grouping(**asked), root=root)


def hashed_of(
    phash: Sequence[int],
    *,
    quality: Sequence[float] | None = None,
    bytes_hash: Sequence[int] | None = None,
    readable: Sequence[bool] | None = None,
) -> HashedImages:
    """Hashes as if files had been read; by default all files differ."""
    n = len(phash)
    return HashedImages(
        phash=np.array(phash, dtype=np.uint64),
        quality=np.array(quality if quality is not None else [20.0] * n, dtype=np.float64),
        bytes_hash=np.array(bytes_hash if bytes_hash is not None else range(1, n + 1), dtype=np.uint64),
        readable=np.array(readable if readable is not None else [True] * n, dtype=np.bool_),
    )


def balanced_hashes(n: int, seed: int, *, step: float = 0.15, track: int = 6) -> NDArray[np.uint64]:
    """Hashes made as phash makes them: 64 numbers over their median, in random walks of a few frames."""
    rng = np.random.Generator(np.random.PCG64(seed))
    walks = []
    for _ in range(-(-n // track)):
        walk = rng.normal(size=64) + np.cumsum(rng.normal(size=(track, 64)) * step, axis=0)
        walks.append(walk)
    values = np.concatenate(walks)[:n] if walks else np.empty((0, 64))
    median = np.sort(values, axis=1)[:, 31:33].mean(axis=1, keepdims=True) if n else np.empty((0, 1))
    return np.packbits(values > median, axis=1).view(">u8")[:, 0].astype(np.uint64)


def sample_image(seed: int, width: int = 64, height: int = 128) -> Image.Image:
    """A smooth coloured image with some texture, like a photograph."""
    rng = np.random.Generator(np.random.PCG64(seed))
    coarse = rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(np.int64)
    return Image.fromarray((smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8))


def write_dataset(root: Path, rows: Sequence[Row]) -> None:
    """Writes benchmark.toml, and annotations.csv with most columns of `Row`; no images."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "benchmark.toml").write_text(
        'schema = "piq-bench/benchmark/1"\nname = "made"\nversion = "1"\nlicence = "none"\n'
        '[tasks.reid]\naspect = "reid"\nkind = "retrieval"\n',
        encoding="utf-8",
    )
    with (root / "annotations.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image", "split", "identity", "source"])
        writer.writerows([row.image, row.split, row.identity, row.source] for row in rows)
