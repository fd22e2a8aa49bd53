"""Writes arrays as a submission: a .npz or .parquet file or a folder, complete or not at all.

The bytes depend only on the arrays, so there are no time stamps. An embedding on disk is streamed, never loaded whole.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadUsage, Problem
from piq_bench.records import EmbeddingArray
from piq_bench.write.files import new_folder, written_whole

if TYPE_CHECKING:
    import pyarrow as pa

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file can hold
BLOCK_VALUES = 1 << 22
SAMPLE_BYTES = 1 << 20
WORTH_IT = 0.75  # compressed size of a sample from which on compression is not worth its time
META_KEY = b"piq-bench"  # key of meta in a Parquet file's metadata
Array = NDArray[Any]


def write_submission(
    path: Path,
    *,
    images: Sequence[str] | NDArray[np.object_] | None,
    embedding: EmbeddingArray | None = None,
    predictions: Mapping[str, Array] | None = None,
    matrix: Mapping[str, Array] | None = None,
    meta: Mapping[str, object] | None = None,
) -> None:
    """Write a submission in the format given by the suffix: .npz, .parquet, or none for a folder.

    Args:
        path: the file or folder to write; a folder must not exist yet.
        images: the image id of each row; None for a matrix alone.
        embedding: shape (n_rows, dimension); None without re-id.
        predictions: by task name, shape (n_rows,) or (n_rows, n_labels).
        matrix: `distance` or `similarity`, shape (n_query, n_gallery), with `query` and `gallery`, the image ids of its
            rows and columns, by these names; an alternative to the embedding, which no Parquet file can hold.
        meta: JSON values by key, such as name, benchmark and distance.

    Raises:
        BadUsage: if the suffix is unknown or not one of a matrix, or the folder exists.
        ValueError: if an array has not one row per image, or a task has a reserved name.
        TypeError: if an array holds Python objects.
    """
    if matrix and path.suffix == ".parquet":
        remedy = "end the name with .npz, or with nothing for a folder"
        raise BadUsage(path.name, [Problem("suffix", path.name, "a Parquet file holds no distance matrix", remedy)])
    _write(path, {**_checked(images, embedding, predictions or {}), **(matrix or {})}, meta)


def write_distances(
    path: Path,
    *,
    query: Sequence[str] | NDArray[np.object_],
    gallery: Sequence[str] | NDArray[np.object_],
    distance: Array,
    meta: Mapping[str, object] | None = None,
) -> None:
    """Write a distance matrix as a submission, for methods that are no embedding, such as re-ranking.

    Args:
        path: the .npz file or the folder to write.
        query: image ids of the rows.
        gallery: image ids of the columns.
        distance: shape (n_query, n_gallery), float16 or float32; smaller is more similar.
        meta: JSON values by key.

    Raises:
        BadUsage: if the suffix is not .npz or none, or the folder exists.
        ValueError: if the matrix has not one row for each query and one column for each gallery image.
    """
    ids = {name: np.asarray(list(images), dtype=np.str_) for name, images in (("query", query), ("gallery", gallery))}
    if distance.shape != (ids["query"].size, ids["gallery"].size):
        raise ValueError(f"distance has shape {distance.shape} for {ids['query'].size} x {ids['gallery'].size} images")
    write_submission(path, images=None, matrix={**ids, "distance": distance}, meta=meta)


def _write(path: Path, arrays: Mapping[str, Array], meta: Mapping[str, object] | None) -> None:
    text = json.dumps(dict(meta or {}), ensure_ascii=False, allow_nan=False)
    if path.suffix == ".npz":
        with written_whole(path) as temporary:
            _write_npz(temporary, {**arrays, "meta": np.array(text)})
    elif path.suffix == ".parquet":
        with written_whole(path) as temporary:
            _write_parquet(temporary, arrays, text)
    elif path.suffix == "":
        _write_folder(path, arrays, text)
    else:
        remedy = "end the name with .npz or .parquet, or with nothing for a folder"
        raise BadUsage(path.name, [Problem("suffix", path.name, f"suffix {path.suffix!r} is unknown", remedy)])


def _checked(
    images: Sequence[str] | NDArray[np.object_] | None,
    embedding: EmbeddingArray | None,
    predictions: Mapping[str, Array],
) -> dict[str, Array]:
    """All arrays by name, checked: arrays that cannot be written are a programming error, not a refusal."""
    if images is None:
        if embedding is not None or predictions:
            raise ValueError("an embedding and predictions need the image id of each row")
        return {}
    arrays: dict[str, Array] = {"image": np.asarray(list(images), dtype=np.str_)}
    if embedding is not None:
        arrays["embedding"] = embedding
    for name, values in predictions.items():
        if name in ("image", "embedding", "meta"):
            raise ValueError(f"a task cannot be called {name!r}, which is the name of another array")
        arrays[name] = np.asarray(values)
    n_rows = arrays["image"].size
    for name, values in arrays.items():
        if values.dtype.hasobject:
            raise TypeError(f"{name} has dtype {values.dtype}: pass numbers or text; Python objects are never written")
        if values.ndim not in (1, 2) or values.shape[0] != n_rows:
            raise ValueError(f"{name} has shape {values.shape}, but there are {n_rows} images")
    return arrays


def _write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for name, values in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=EPOCH)
            member.compress_type = _compression(values)
            member.external_attr = 0o644 << 16
            with archive.open(member, "w", force_zip64=True) as stream:
                _write_npy(stream, values)


def _compression(values: Array) -> int:
    """Whether to compress an array, from how far its first rows shrink.

    Features of a model hardly do: to compress a gigabyte of them takes a minute and saves a tenth.
    """
    first = values.reshape(1) if values.ndim == 0 else values[: max(1, SAMPLE_BYTES // max(1, values[:1].nbytes))]
    sample = first.tobytes()
    return zipfile.ZIP_DEFLATED if len(zlib.compress(sample, 1)) < WORTH_IT * len(sample) else zipfile.ZIP_STORED


def _write_npy(stream: IO[bytes], values: Array) -> None:
    """Write an array like numpy.save, in C order and little-endian, block by block."""
    little = values.dtype.newbyteorder("<")
    header = {"descr": np.lib.format.dtype_to_descr(little), "fortran_order": False, "shape": values.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    if values.ndim == 0:
        stream.write(values.astype(little).tobytes())
        return
    step = _rows_per_block(values)
    for first in range(0, values.shape[0], step):
        stream.write(np.ascontiguousarray(values[first : first + step].astype(little)).tobytes())


def _write_folder(path: Path, arrays: Mapping[str, Array], meta: str) -> None:
    if path.exists():
        raise BadUsage(path.name, [Problem("exists", path.name, "already exists", "choose a new folder")])
    with new_folder(path) as temporary:
        for name, values in arrays.items():
            with (temporary / f"{name}.npy").open("wb") as stream:
                _write_npy(stream, values)
        (temporary / "meta.json").write_text(meta + "\n", encoding="utf-8", newline="\n")


def _write_parquet(path: Path, arrays: Mapping[str, Array], meta: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    step = min(_rows_per_block(values) for values in arrays.values())
    blocks = (
        pa.table({name: _column(values[first : first + step]) for name, values in arrays.items()})
        for first in range(0, max(1, arrays["image"].size), step)
    )
    first_block = next(blocks).replace_schema_metadata({META_KEY: meta.encode("utf-8")})
    with pq.ParquetWriter(path, first_block.schema, compression="zstd") as writer:
        writer.write_table(first_block)
        for block in blocks:
            writer.write_table(block.replace_schema_metadata(first_block.schema.metadata))


def _column(values: Array) -> "pa.Array":
    import pyarrow as pa

    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])
    return pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else pa.array(values)


def _rows_per_block(values: Array) -> int:
    return max(1, BLOCK_VALUES // max(1, values.shape[1] if values.ndim == 2 else 1))
