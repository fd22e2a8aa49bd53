"""A stranger's submission, checked and aligned with a benchmark; one report with every problem found.

The container is opened by `read.archive`, labels are judged by `read.predictions`; here live the rules about images,
embeddings and meta, and the digest of the content.
"""

import hashlib
import json
import math
import unicodedata
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadSubmission, first_few, printable, quoted
from piq_bench.read.alignment import NOWHERE, places
from piq_bench.read.archive import open_container
from piq_bench.read.container import MAX_META_BYTES, Container, Limits, list_names, unknown_arrays
from piq_bench.read.mapped import BLOCK_BYTES, Array, row_blocks, rows_of
from piq_bench.read.predictions import N_ROWS_NAMED, read_labels, rows_with, suggest
from piq_bench.read.validate import text_fault
from piq_bench.records import SPLITS, Benchmark, BoolArray, EmbeddingArray, IntArray, Submission
from piq_bench.write.files import sha256_of

EMBEDDING = "embedding"
MAX_DIMENSION = 65536
MIN_SPARE_COLUMNS = 1024  # a wrong number of columns should be named, not hidden behind a limit
# Of a float, by bytes: whole numbers of that size, all bits but the sign, and infinity; beyond that lies NaN.
FLOAT_BITS = {2: (np.uint16, np.uint16(0x7FFF), 0x7C00), 4: (np.uint32, np.uint32(0x7FFFFFFF), 0x7F800000)}
DISTANCES = ("cosine", "euclidean")
TEXT_BYTES = 4 << 20
MAX_NAME = 200


def read_submission(path: Path, benchmark: Benchmark, *, partial: bool = False) -> Submission:
    """Read and check a submission in any of its forms.

    Args:
        path: .npz, .parquet or a folder.
        benchmark: what it answers; its labels are not used.
        partial: accept a submission that lacks tasks or the embedding, but not both.

    Raises:
        BadSubmission: with every problem.
        LimitExceeded: if it asks for more memory than is allowed.
    """
    limits = _limits(benchmark)
    found = open_container(path, limits)
    _check_names(found, benchmark, limits, partial)
    meta = _meta(found, benchmark)
    distance: Literal["cosine", "euclidean"] = "euclidean" if meta.get("distance") == "euclidean" else "cosine"
    images = _texts(found, "image")
    name_row = _row_names(images)
    for name in sorted(found.arrays):
        _check_rows(found, name, benchmark)
    order = None if images is None else _align(found, images, benchmark)
    embedding = _embedding(found, distance, name_row) if EMBEDDING in found.arrays else None
    predictions: dict[str, IntArray | BoolArray] = {}
    for task in benchmark.classification_tasks:
        values = found.arrays.get(task.name)
        if values is not None:
            if values.dtype.kind in "US":
                values = _texts(found, task.name)
            labels = None if values is None else read_labels(task, values, name_row, found.problems)
            if labels is not None:
                predictions[task.name] = labels
    if found.problems or order is None:
        raise BadSubmission(str(path), found.problems)
    sha256, n_bytes = _file(path)
    return Submission(
        name=str(meta.get("name", printable(path.stem, MAX_NAME))),
        distance=distance,
        meta=meta,
        content=_content(found.arrays, order, distance, benchmark.images[benchmark.test_rows]),
        embedding=embedding,
        order=order,
        predictions={name: labels[order] for name, labels in predictions.items()},
        file_sha256=sha256,
        file_bytes=n_bytes,
    )


def _limits(benchmark: Benchmark) -> Limits:
    n_columns = {"image": MIN_SPARE_COLUMNS, "meta": 0}
    if benchmark.retrieval_task is not None:
        n_columns[EMBEDDING] = MAX_DIMENSION
    for task in benchmark.classification_tasks:
        n_columns[task.name] = max(MIN_SPARE_COLUMNS, len(task.labels))
    return Limits(benchmark.test_rows.size, n_columns)


def _check_names(found: Container, benchmark: Benchmark, limits: Limits, partial: bool) -> None:
    known = [name for name in limits.n_columns if name != "meta"]
    for name in unknown_arrays(found, limits.n_columns):
        if name == EMBEDDING:
            remedy = f"leave it out: benchmark {quoted(benchmark.name)} has no re-id task"
        elif benchmark.retrieval_task is not None and name == benchmark.retrieval_task.name:
            remedy = f"the re-id feature is the array {quoted(EMBEDDING)}"
        else:
            remedy = suggest(name, [*known, "meta"])
        found.refuse("unknown-array", printable(name), "is no array of this benchmark", remedy)
    missing = [name for name in known if name not in found.named]
    answers = [name for name in known if name != "image"]
    if "image" in missing:
        remedy = f"shape ({limits.n_rows},): the id of the image of each row"
        found.refuse("missing-array", "image", "is missing", remedy)
    if partial and all(name in missing for name in answers):
        remedy = f"at least one of {list_names(answers)}"
        found.refuse("nothing-to-score", "arrays", "there is neither an embedding nor a task", remedy)
    elif not partial:
        for name in missing:
            if name != "image":
                remedy = "add it, or score what is there with --partial; `piq template` writes an example"
                found.refuse("missing-array", name, "is missing", remedy)


def _meta(found: Container, benchmark: Benchmark) -> dict[str, object]:
    if found.meta is None:
        return {}
    remedy = 'a JSON object: {"name": ..., "benchmark": ..., "distance": "cosine"}'
    if len(found.meta.encode("utf-8", "surrogatepass")) > MAX_META_BYTES:
        found.refuse("bad-meta", "meta", "is larger than 64 KiB", remedy)
        return {}
    try:
        meta = json.loads(found.meta, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique_keys)
        json.dumps(meta, ensure_ascii=False).encode("utf-8")  # halves of surrogate pairs could never be printed
    except (ValueError, RecursionError) as error:
        found.refuse("bad-meta", "meta", f"is no JSON: {printable(error)}", remedy)
        return {}
    if not isinstance(meta, dict):
        found.refuse("bad-meta", "meta", f"is {type(meta).__name__}, not an object", remedy)
        return {}
    for key in ("name", "benchmark", "distance"):
        if key in meta and not isinstance(meta[key], str):
            found.refuse("bad-meta", "meta", f"{key} is {quoted(meta[key])}", f"{key} is a text")
    name = meta.get("name")
    fault = text_fault(name, MAX_NAME) if isinstance(name, str) and name else "it is empty" if name == "" else None
    if fault is not None:
        remedy = f"1 to {MAX_NAME} characters that can be printed, without blanks around them"
        found.refuse("bad-meta", "meta", f"name {quoted(name)}: {fault}", remedy)
    if isinstance(meta.get("distance"), str) and meta["distance"] not in DISTANCES:
        found.refuse("bad-meta", "meta", f"distance is {quoted(meta['distance'])}", "cosine or euclidean")
    if isinstance(meta.get("benchmark"), str) and meta["benchmark"] != benchmark.name:
        problem = f"is for benchmark {quoted(meta['benchmark'])}, scored is {quoted(benchmark.name)}"
        found.refuse("wrong-benchmark", "meta", problem, "pass its benchmark with --dataset")
    return meta


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is beyond what a number can hold")
    return value


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _texts(found: Container, name: str) -> Array | None:
    """An array of text as str, left in its file if it lies in one; None, with a problem, if it is no text."""
    values = found.arrays.get(name)
    if values is None:
        return None
    if values.dtype.kind == "S":
        try:
            parts = [
                np.asarray([bytes(value).decode("utf-8") for value in block.ravel().tolist()], dtype=np.str_)
                for _, block in row_blocks(values, TEXT_BYTES)
            ]
            return np.concatenate([np.zeros(0, dtype=np.str_), *parts]).reshape(values.shape)
        except UnicodeDecodeError:
            found.refuse("bad-text", name, "bytes that are no UTF-8", "text: numpy.array([...], dtype=str)")
            return None
    if values.dtype.kind != "U":
        problem = f"dtype {values.dtype.str}"
        found.refuse("bad-dtype", name, problem, "text: numpy.array([...], dtype=str)")
        return None
    for _, block in row_blocks(values, TEXT_BYTES):
        text = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("="), copy=False))
        points = text.view(np.uint32) if text.dtype.itemsize else np.zeros(0, np.uint32)
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            found.refuse("bad-text", name, "code points that are no characters", "text: numpy.array([...], dtype=str)")
            return None
    return values if values.dtype.isnative else np.asarray(values.astype(values.dtype.newbyteorder("=")))


def _row_names(images: Array | None) -> "_NameRow":
    return _NameRow(None if images is None or images.ndim != 1 else images)


class _NameRow:
    """From a row of the submission to "row 214 ('m07/00213.jpg')"."""

    def __init__(self, images: Array | None) -> None:
        self.images = images

    def __call__(self, row: int) -> str:
        known = self.images is not None and row < self.images.size
        return f"row {row} ({quoted(self.images[row])})" if known and self.images is not None else f"row {row}"


def _check_rows(found: Container, name: str, benchmark: Benchmark) -> None:
    """Every array has one row per query and gallery image; one that has not is not looked at any further."""
    shape, n_test = found.arrays[name].shape, benchmark.test_rows.size
    if name == "image" and len(shape) != 1:
        found.refuse("bad-shape", name, f"shape {shape}", f"shape ({n_test},)")
    elif name == EMBEDDING and len(shape) != 2:
        found.refuse("bad-shape", name, f"shape {shape}", f"shape ({n_test}, D)")
    elif shape[0] != n_test and name != "image":
        problem = f"{shape[0]} rows, the benchmark has {n_test} query and gallery images"
        found.refuse("wrong-row-count", name, problem, f"expected {n_test} rows, in the order of 'image'")
    else:
        return
    del found.arrays[name]


def _align(found: Container, images: Array, benchmark: Benchmark) -> IntArray | None:
    """Shape (n_test,); the submission's row of each test row. Problems for images missing, unknown or repeated."""
    if "image" not in found.arrays:
        return None
    test = benchmark.images[benchmark.test_rows]
    rows = places(images, test)
    unknown = np.asarray(rows == NOWHERE)
    if unknown.any():
        _refuse_unknown(found, images, unknown, benchmark)
    known = np.flatnonzero(~unknown)
    first = np.full(test.size, NOWHERE)
    first[rows[known][::-1]] = known[::-1]
    repeated = np.zeros(images.size, dtype=bool)
    repeated[known] = first[rows[known]] != known
    if repeated.any():
        name_row = _NameRow(images)
        problem = rows_with(repeated, name_row, lambda row: f"is already in row {first[rows[row]]}")
        found.refuse("duplicate-image", "image", problem, "each image exactly once", int(repeated.sum()))
    missing = np.flatnonzero(first == NOWHERE)
    for split in np.unique(benchmark.split[benchmark.test_rows[missing]]):
        names = test[missing[benchmark.split[benchmark.test_rows[missing]] == split]]
        verb = "images are" if names.size > 1 else "image is"
        problem = f"{names.size} {SPLITS[split]} {verb} missing: {first_few(names, names.size)}"
        found.refuse("missing-image", "image", problem, "every query and gallery image exactly once", names.size)
    return first.astype(np.int64) if missing.size == 0 else None


def _refuse_unknown(found: Container, images: Array, unknown: BoolArray, benchmark: Benchmark) -> None:
    named = {_loosely(str(images[row])) for row in np.flatnonzero(unknown)[:N_ROWS_NAMED]}
    loose = {key: image for image in benchmark.images[benchmark.test_rows] if (key := _loosely(image)) in named}

    def say(row: int) -> str:
        image = str(images[row])
        place = bisect_left(benchmark.images, image)
        if place < benchmark.images.size and benchmark.images[place] == image:
            return f"is a {SPLITS[benchmark.split[place]]} image"
        near = loose.get(_loosely(image))
        return f"is unknown, did you mean {quoted(near)}?" if near else "is unknown"

    problem = rows_with(unknown, _NameRow(images), say)
    remedy = "image ids as in the benchmark's annotations, query and gallery only"
    found.refuse("unknown-image", "image", problem, remedy, int(unknown.sum()))


def _loosely(image: str) -> str:
    """What is left of an id when the folder of images, its extension, case, slashes and blanks do not count."""
    inside = f"/{unicodedata.normalize('NFC', image).strip()}".replace("\\", "/").rpartition("/images/")[2]
    stem, dot, extension = inside.removeprefix("/").removeprefix("./").rpartition(".")
    return (stem if dot and "/" not in extension else extension).casefold()


def _embedding(found: Container, distance: str, name_row: _NameRow) -> EmbeddingArray | None:
    values = found.arrays[EMBEDDING]
    if values.dtype.kind != "f" or values.dtype.itemsize not in (2, 4):
        remedy = "float16 or float32: embedding.astype(numpy.float32)"
        found.refuse("bad-dtype", EMBEDDING, f"dtype {values.dtype.str}", remedy)
        return None
    if not 1 <= values.shape[1] <= MAX_DIMENSION:
        found.refuse("bad-shape", EMBEDDING, f"dimension {values.shape[1]}", f"1 to {MAX_DIMENSION}")
        return None
    n_rows, dimension = values.shape
    bad, zero = np.zeros(n_rows, dtype=bool), np.zeros(n_rows, dtype=bool)
    unsigned, magnitude, infinity = FLOAT_BITS[values.dtype.itemsize]
    for first, block in row_blocks(values):
        stored = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("="), copy=False)).view(unsigned)
        largest = (stored & magnitude).max(axis=1)
        bad[first : first + largest.size] = largest >= infinity
        zero[first : first + largest.size] = largest == 0
    if bad.any():

        def say(row: int) -> str:
            one = rows_of(values, slice(row, row + 1))
            kinds = ((int(np.isnan(one).sum()), "NaN"), (int(np.isinf(one).sum()), "Inf"))
            return ", ".join(f"{n} of {dimension} values are {kind}" for n, kind in kinds if n)

        remedy = "every value must be finite; float16 overflows above 65504"
        found.refuse("not-finite", EMBEDDING, rows_with(bad, name_row, say), remedy, int(bad.sum()))
    if distance == "cosine" and zero.any():
        problem = rows_with(zero, name_row, lambda _: "all values are 0")
        remedy = "a zero vector has no direction: mend it, or set distance to euclidean in meta"
        found.refuse("zero-vector", EMBEDDING, problem, remedy, int(zero.sum()))
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _content(arrays: Mapping[str, Array], order: IntArray, distance: str, images: NDArray[np.object_]) -> str:
    """SHA-256 over the arrays, rows sorted by image; row order, memory order, byte order and container do not count.

    Args:
        arrays: as submitted.
        order: shape (n_test,); their row of each image.
        distance: part of the content.
        images: shape (n_test,); the texts of `arrays["image"]` in that order, at hand without looking for them.
    """
    digest = hashlib.sha256(f"piq-bench/content/1\n{distance}\n".encode())
    for name in sorted(arrays):
        values = arrays[name]
        text = values.dtype.kind in "US"
        kind = "text" if text else values.dtype.newbyteorder("<").str
        digest.update(f"{name} {kind} {values.shape}\n".encode())
        step = max(1, (TEXT_BYTES if text else BLOCK_BYTES) // max(1, values[:1].nbytes))
        for first in range(0, order.size, step):
            part = slice(first, first + step)
            block = images[part] if name == "image" else rows_of(values, order[part])
            if text:
                names = block.ravel().tolist()
                if block.dtype.kind == "S":
                    names = [name.decode("utf-8") for name in names]
                digest.update("".join([f"{len(name)}:{name}" for name in names]).encode())
            else:
                stored = np.ascontiguousarray(block.astype(values.dtype.newbyteorder("<"), copy=False))
                digest.update(stored.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _file(path: Path) -> tuple[str, int]:
    """SHA-256 and size; of a folder, over its files' names and digests."""
    if path.is_file():
        return sha256_of(path), path.stat().st_size
    files = sorted(entry for entry in path.iterdir())
    lines = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest(), sum(file.stat().st_size for file in files)
