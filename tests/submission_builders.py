"""Submission files for a benchmark of eight test images: a valid one, and others with one fault each."""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from piq_bench.cli import load_command

Arrays = dict[str, np.ndarray]
N = 8

BENCHMARK = """\
schema = "piq-bench/benchmark/1"
name = "tiny"
version = "1"
licence = "none"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.age]
aspect = "appearance"
labels = ["child", "adult", "old"]
[tasks.mood]
aspect = "emotion"
labels = ["happy", "sad"]
multi_label = true
"""


def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "image": np.array([f"m/{i}.jpg" for i in range(N)]),
        "embedding": rng.standard_normal((N, 4)).astype(np.float32),
        "age": np.array(["child", "adult", "old", "adult"] * 2),
        "mood": rng.random((N, 2)).astype(np.float32),
        "meta": np.array(json.dumps({"name": "entry", "benchmark": "tiny", "distance": "cosine"})),
    }


def save(path: Path, values: Arrays, *, compressed: bool = False) -> Path:
    kwargs: dict[str, Any] = dict(values)
    (np.savez_compressed if compressed else np.savez)(path, **kwargs)
    return path


def changed(name: str, change: Callable[[np.ndarray], object]) -> Callable[[Path], Path]:
    """A submission in which one array is changed."""

    def write(folder: Path) -> Path:
        values = arrays()
        values[name] = np.asarray(change(values[name].copy()))
        save(folder / "entry.npz", values)
        return folder / "entry.npz"

    return write


def at(row: int, value: object) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values = values.astype("U20") if values.dtype.kind == "U" else values
        values[row] = value
        return values

    return change


def meta(**entries: object) -> Callable[[Path], Path]:
    return changed("meta", lambda _: np.array(json.dumps({"name": "entry", "benchmark": "tiny"} | entries)))


def meta_text(text: str) -> Callable[[Path], Path]:
    return changed("meta", lambda _: np.array(text))


def meta_points(place: int) -> Callable[[Path], Path]:
    """Meta with a number that is no code point as one of its characters."""

    def write(folder: Path) -> Path:
        text = np.array('{"benchmark": "tiny"}')
        points = np.frombuffer(bytearray(text.tobytes()), np.uint32).copy()
        points[place] = 0x110000
        values = arrays() | {"meta": points.view(text.dtype).reshape(())}
        return save(folder / "entry.npz", values)

    return write


def without(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        values = arrays()
        del values[name]
        save(folder / "entry.npz", values)
        return folder / "entry.npz"

    return write


def npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def member(name: str, content: bytes | None, *, compression: int = zipfile.ZIP_STORED) -> Callable[[Path], Path]:
    """A .npz submission in which one member is added or replaced by other bytes."""

    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "entry.npz", "w") as archive:
            for array, values in arrays().items():
                if f"{array}.npy" != name:
                    archive.writestr(f"{array}.npy", npy(values))
            if content is not None:
                archive.writestr(name, content, compression)
        return folder / "entry.npz"

    return write


def header(text: str, *, version: int = 1, content: bytes = b"") -> bytes:
    raw = text.encode("latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(raw))
    return b"\x93NUMPY" + bytes([version, 0]) + length + raw + content


def raw(content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "entry.npz").write_bytes(content)
        return folder / "entry.npz"

    return write


def cut(n_bytes: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        save(folder / "whole.npz", arrays())
        (folder / "entry.npz").write_bytes((folder / "whole.npz").read_bytes()[:n_bytes])
        return folder / "entry.npz"

    return write


def flipped(folder: Path) -> Path:
    """A submission whose embedding has one flipped bit, so that its checksum is wrong."""
    save(folder / "entry.npz", arrays())
    content = bytearray((folder / "entry.npz").read_bytes())
    place = bytes(content).find(arrays()["embedding"].tobytes())
    content[place] ^= 1
    (folder / "entry.npz").write_bytes(content)
    return folder / "entry.npz"


def encrypted(folder: Path) -> Path:
    save(folder / "entry.npz", arrays())
    content = bytearray((folder / "entry.npz").read_bytes())
    place = content.find(b"PK\x01\x02")
    content[place + 8] |= 1
    (folder / "entry.npz").write_bytes(content)
    return folder / "entry.npz"


def twice(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "entry.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for array, values in arrays().items():
            archive.writestr(f"{array}.npy", npy(values))
        archive.writestr("age.npy", npy(arrays()["age"]))
    return folder / "entry.npz"


def bomb(folder: Path) -> Path:
    """200 MB of zeros, packed to 200 kB, with a header that declares 50 million rows."""
    size = 50_000_000
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({size},), }}"
    return member("embedding.npy", header(text, content=bytes(4 * size)), compression=zipfile.ZIP_DEFLATED)(folder)


def long_directory(folder: Path) -> Path:
    """A zip of 20,000 empty files, whose directory zipfile would read into memory before they could be counted."""
    with zipfile.ZipFile(folder / "entry.npz", "w") as archive:
        for i in range(20_000):
            archive.writestr(f"a{i}.npy", b"")
    return folder / "entry.npz"


def packed_emptiness(folder: Path) -> Path:
    """Zeros in an array whose shape is within the limits: 130 MB packed to 126 kB."""
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (508, 64000), }"
    content = header(text, content=bytes(508 * 64_000 * 4))
    return member("embedding.npy", content, compression=zipfile.ZIP_DEFLATED)(folder)


def not_utf8() -> pa.Array:
    """Texts whose bytes are not UTF-8."""
    offsets = pa.py_buffer(np.arange(N + 1, dtype=np.int32).tobytes())
    return pa.StringArray.from_buffers(N, offsets, pa.py_buffer(b"\xff" * N))


def long_lists() -> pa.Array:
    """Two million equal values in each row, which run lengths store in a few hundred bytes."""
    n_values = 2_000_000
    return pa.ListArray.from_arrays(np.arange(N + 1, dtype=np.int32) * n_values, np.zeros(N * n_values, np.float32))


def as_folder(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        values = arrays()
        path = folder / "entry"
        path.mkdir()
        for name, array in values.items():
            if name != "meta":
                np.save(path / f"{name}.npy", array)
        (path / "meta.json").write_text(str(values["meta"]), encoding="utf-8")
        change(path)
        return path

    return write


def link(path: Path) -> None:
    (path / "age.npy").unlink()
    (path / "age.npy").symlink_to(path / "image.npy")


def fifo(path: Path) -> None:
    (path / "age.npy").unlink()
    os.mkfifo(path / "age.npy")


def as_parquet(change: Callable[[dict[str, object]], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        values = arrays()
        columns: dict[str, object] = {
            "image": values["image"].tolist(),
            "embedding": pa.array(values["embedding"].tolist(), pa.list_(pa.float32())),
            "age": values["age"].tolist(),
            "mood": pa.array(values["mood"].tolist(), pa.list_(pa.float32())),
        }
        change(columns)
        pq.write_table(pa.table(columns), folder / "entry.parquet")
        return folder / "entry.parquet"

    return write


def check(path: Path, dataset: Path, *options: str) -> Result:
    return CliRunner().invoke(load_command("check"), [str(path), "--dataset", str(dataset), *options])
