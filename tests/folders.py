"""Small data sets as files, for tests of the readers."""

import csv
import gzip
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TOML = """\
schema = "piq-bench/benchmark/1"
name = "tiny"
version = "1"
licence = "none"

[grouping]
hash = "phash"
threshold = 6
mode = "components"

[tasks.reid]
aspect = "reid"
kind = "retrieval"

[tasks.gender]
aspect = "appearance"
labels = ["female", "male"]

[tasks.mood]
aspect = "emotion"
labels = ["happy", "sad", "angry"]
multi_label = true
"""

COLUMNS = ("image", "split", "identity", "gender", "mood", "source", "camera")
ROWS = (
    ("a/01.jpg", "train", "p1", "female", "happy", "a", "c1"),
    ("a/02.jpg", "train", "p1", "female", "happy|sad", "a", "c1"),
    ("a/03.jpg", "train", "", "", "", "a", "c1"),
    ("b/01.jpg", "query", "p2", "male", "-", "b", "c1"),
    ("b/02.jpg", "gallery", "p2", "male", "sad", "b", "c2"),
    ("b/03.jpg", "gallery", "p3", "", "sad|angry", "b", "c1"),
    ("b/04.jpg", "gallery", "", "female", "", "b", "c1"),
)

Row = Sequence[str]


def write_csv(path: Path, rows: Iterable[Row] = ROWS, columns: Row = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: Iterable[Row] = ROWS, columns: Row = COLUMNS) -> Path:
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [pa.array(column, pa.string()) for column in values]
    pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), path)
    return path


def write_folder(
    folder: Path, rows: Iterable[Row] = ROWS, columns: Row = COLUMNS, *, toml: str = TOML, suffix: str = ".csv"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.toml").write_text(toml, encoding="utf-8")
    write = write_csv if suffix == ".csv" else write_parquet
    write(folder / f"annotations{suffix}", rows, columns)
    return folder


def changed(row: int, **values: str) -> list[Row]:
    """ROWS with some values of one row changed."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    rows[row].update(values)
    return [tuple(row.values()) for row in rows]


def write_market(folder: Path, names: Mapping[str, Iterable[str]]) -> Path:
    """A Market-1501 style folder of empty files."""
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for name in names.get(part, ()):
            (folder / part / name).touch()
    return folder


def shared_data(name: str) -> Path:
    """A folder of real data beside the project; skips the test if it is not there."""
    folder = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"no {name} here")
    return folder


def market1501_names(folder: Path) -> dict[str, list[str]]:
    parts = {"bounding_box_train": "train", "query": "query", "bounding_box_test": "gallery"}
    names = {}
    for part, name in parts.items():
        with gzip.open(folder / f"market1501_{name}.txt.gz", "rt", encoding="ascii") as stream:
            names[part] = stream.read().split()
    return names
