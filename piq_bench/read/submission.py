"""Reads an untrusted submission, checks it, aligns it with a benchmark, and reports every problem at once.

`read.formats` opens the file and `read.predictions` checks the labels; the rules for images, embeddings and meta are
here, and so is the digest of the content.
"""

import hashlib
import json
import math
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadSubmission, first_few, printable, quoted
from piq_bench.read.alignment import NOT_FOUND, find_images
from piq_bench.read.container import MAX_MEMORY_BYTES, MAX_META_BYTES, Container, Limits
from piq_bench.read.formats import read_container
from piq_bench.read.id_repair import id_repair
from piq_bench.read.litter import is_litter
from piq_bench.read.mapped import BLOCK_BYTES, Array, row_blocks, rows_of
from piq_bench.read.predictions import N_ROWS_NAMED, read_labels, rows_with, suggest
from piq_bench.read.validate import MIN_NAME_SIMILARITY, RowNamer, closest, text_fault
from piq_bench.records import SPLITS, Benchmark, BoolArray, EmbeddingArray, IntArray, Submission
from piq_bench.write.files import sha256_of

EMBEDDING = "embedding"
MAX_DIMENSION = 65536
MIN_COLUMN_LIMIT = 1024  # high enough that a wrong number of labels gets its own message, not one about a limit
# By bytes of a float: the unsigned type of that size, the mask of all bits but the sign, and the bits of infinity. With
# the sign masked out, larger numbers are NaN, so that one pass over the bits finds NaN, infinity and zero vectors.
FLOAT_BITS = {2: (np.uint16, np.uint16(0x7FFF), 0x7C00), 4: (np.uint32, np.uint32(0x7FFFFFFF), 0x7F800000)}
DISTANCES = ("cosine", "euclidean")
T = TypeVar("T")
TEXT_BLOCK_BYTES = 4 << 20
MAX_NAME = 200
TEXT_REMEDY = "write text: numpy.array([...], dtype=str)"


def read_submission(
    path: Path, benchmark: Benchmark, *, partial: bool = False, tell: Callable[[str], None] = lambda note: None
) -> Submission:
    """Read and check a submission in any of its file formats.

    Args:
        path: a .npz or .parquet file, or a folder of .npy files.
        benchmark: the benchmark that the submission was made for; its labels are not used.
        partial: accept a submission that lacks the embedding or some of the tasks, but not one that lacks all of them.
        tell: called with each note on what was ignored or converted.

    Raises:
        BadSubmission: with every problem found.
        LimitExceeded: if it needs more memory than is allowed.
    """
    limits = _limits(benchmark)
    container = read_container(path, limits)
    _check_names(container, benchmark, limits, partial)
    meta = _meta(container, benchmark)
    distance: Literal["cosine", "euclidean"] = "euclidean" if meta.get("distance") == "euclidean" else "cosine"
    images = _read_texts(container, "image")
    name_row = _row_namer(images)
    for name in sorted(container.arrays):
        _check_rows(container, name, benchmark)
    order = None if images is None else _align(container, images, benchmark)
    embedding = _embedding(container, distance, name_row) if EMBEDDING in container.arrays else None
    predictions: dict[str, IntArray | BoolArray] = {}
    for task in benchmark.classification_tasks:
        values = container.arrays.get(task.name)
        if values is not None:
            if values.dtype.kind in "US":
                values = _read_texts(container, task.name)
            labels = None if values is None else read_labels(task, values, name_row, container.problems)
            if labels is not None:
                predictions[task.name] = labels
    for note in container.notes:
        tell(note)
    if container.problems or order is None:
        raise BadSubmission(str(path), container.problems)
    sha256, n_bytes = _file_digest(path)
    return Submission(
        name=str(meta.get("name", printable(path.stem, MAX_NAME))),
        distance=distance,
        meta=meta,
        content=_content_digest(container.arrays, order, distance, benchmark.images[benchmark.test_rows]),
        embedding=embedding,
        order=order,
        predictions={name: labels[order] for name, labels in predictions.items()},
        file_sha256=sha256,
        file_bytes=n_bytes,
    )


def _limits(benchmark: Benchmark) -> Limits:
    max_columns = {"image": MIN_COLUMN_LIMIT, "meta": 0}
    if benchmark.retrieval_task is not None:
        max_columns[EMBEDDING] = MAX_DIMENSION
    for task in benchmark.classification_tasks:
        max_columns[task.name] = max(MIN_COLUMN_LIMIT, len(task.labels))
    return Limits(benchmark.test_rows.size, max_columns)


def _check_names(container: Container, benchmark: Benchmark, limits: Limits, partial: bool) -> None:
    known = [name for name in limits.max_columns if name != "meta"]
    names = container.names - limits.max_columns.keys()
    if container.is_table:
        names = set(without_other_columns(dict.fromkeys(names), benchmark, container.notes.append))
    for name in sorted(names):
        if name == EMBEDDING:
            remedy = f"leave it out: benchmark {quoted(benchmark.name)} has no re-id task"
        elif benchmark.retrieval_task is not None and name == benchmark.retrieval_task.name:
            remedy = f"the array of re-id features is called {quoted(EMBEDDING)}"
        else:
            remedy = suggest(name, [*known, "meta"])
        container.refuse("unknown-array", printable(name), "is not an array of this benchmark", remedy)
    missing = [name for name in known if name not in container.names]
    answers = [name for name in known if name != "image"]
    if "image" in missing:
        remedy = f"add the image id of each row, shape ({limits.n_rows},)"
        container.refuse("missing-array", "image", "is missing", remedy)
    if partial and all(name in missing for name in answers):
        remedy = f"at least one of {first_few(answers, len(answers))}"
        container.refuse("nothing-to-score", "arrays", "there is neither an embedding nor the array of a task", remedy)
    elif not partial:
        for name in missing:
            if name != "image":
                remedy = "add it, or score the other arrays with --partial; `piq template` writes an example"
                container.refuse("missing-array", name, "is missing", remedy)


def without_other_columns(columns: Mapping[str, T], benchmark: Benchmark, tell: Callable[[str], None]) -> dict[str, T]:
    """The columns of a table without those that have nothing to do with a benchmark, of which `tell` gets a note.

    A column whose name resembles that of a task stays, since it may be misspelt.
    """
    tasks = (EMBEDDING, *(task.name for task in benchmark.tasks))
    kept = ("image", "meta", *tasks)
    ignored = [name for name in columns if name not in kept and closest(name, tasks, MIN_NAME_SIMILARITY) is None]
    if ignored:
        tell(f"ignored columns that are not of this benchmark: {first_few(sorted(ignored), len(ignored))}")
    return {name: values for name, values in columns.items() if name not in ignored}


def _meta(container: Container, benchmark: Benchmark) -> dict[str, object]:
    if container.meta is None:
        return {}
    text = container.meta.removeprefix("\ufeff")  # a byte order mark
    remedy = 'a JSON object: {"name": ..., "benchmark": ..., "distance": "cosine"}'
    if len(text.encode("utf-8", "surrogatepass")) > MAX_META_BYTES:
        container.refuse("bad-meta", "meta", "is larger than 64 KiB", remedy)
        return {}
    try:
        meta = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            object_pairs_hook=_unique_keys,
        )
        json.dumps(meta, ensure_ascii=False).encode("utf-8")  # fails on half a surrogate pair, which cannot be printed
    except (ValueError, RecursionError) as error:
        container.refuse("bad-meta", "meta", f"is not valid JSON: {printable(error)}", remedy)
        return {}
    if not isinstance(meta, dict):
        container.refuse("bad-meta", "meta", f"is a JSON {type(meta).__name__}, not an object", remedy)
        return {}
    for key in ("name", "benchmark", "distance"):
        if key in meta and not isinstance(meta[key], str):
            problem = f"{key} is {quoted(meta[key])}, which is not text"
            container.refuse("bad-meta", "meta", problem, f"write {key} as text in quotes")
    name = meta.get("name")
    fault = text_fault(name, MAX_NAME) if isinstance(name, str) and name else "it is empty" if name == "" else None
    if fault is not None:
        remedy = f"1 to {MAX_NAME} printable characters without spaces at the ends"
        container.refuse("bad-meta", "meta", f"name {quoted(name)}: {fault}", remedy)
    if isinstance(meta.get("distance"), str) and meta["distance"] not in DISTANCES:
        container.refuse("bad-meta", "meta", f"distance is {quoted(meta['distance'])}", "cosine or euclidean")
    if isinstance(meta.get("benchmark"), str) and meta["benchmark"] != benchmark.name:
        problem = f"the submission is for benchmark {quoted(meta['benchmark'])}, but this is {quoted(benchmark.name)}"
        container.refuse("wrong-benchmark", "meta", problem, "pass the submission's benchmark with --dataset")
    return meta


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large for a number")
    return value


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _read_texts(container: Container, name: str) -> Array | None:
    """An array of text as str, still in its file if it is memory-mapped; None, with a problem, if it is not text."""
    values = container.arrays.get(name)
    if values is None:
        return None
    if values.dtype.kind == "S":
        try:
            parts = [
                np.asarray([bytes(value).decode("utf-8") for value in block.ravel().tolist()], dtype=np.str_)
                for _, block in row_blocks(values, TEXT_BLOCK_BYTES)
            ]
            return np.concatenate([np.zeros(0, dtype=np.str_), *parts]).reshape(values.shape)
        except UnicodeDecodeError:
            container.refuse("bad-text", name, "has bytes that are not UTF-8", TEXT_REMEDY)
            return None
    if values.dtype.kind != "U":
        container.refuse("bad-dtype", name, f"has dtype {values.dtype.str}, which is not text", TEXT_REMEDY)
        return None
    for _, block in row_blocks(values, TEXT_BLOCK_BYTES):
        text = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("="), copy=False))
        points = text.view(np.uint32) if text.dtype.itemsize else np.zeros(0, np.uint32)
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            container.refuse("bad-text", name, "has code points that are not characters", TEXT_REMEDY)
            return None
    return values if values.dtype.isnative else np.asarray(values.astype(values.dtype.newbyteorder("=")))


def _row_namer(images: Array | None) -> RowNamer:
    """A function that names a row by its number and image, or by its number alone if its image is not known."""

    def name_row(row: int) -> str:
        if images is None or images.ndim != 1 or row >= images.size:
            return f"row {row}"
        return f"row {row} ({quoted(images[row])})"

    return name_row


def _check_rows(container: Container, name: str, benchmark: Benchmark) -> None:
    """Check that an array has one row per query and gallery image, and drop it from the container if it has not."""
    shape, n_test = container.arrays[name].shape, benchmark.test_rows.size
    if name == "image" and len(shape) != 1:
        container.refuse("bad-shape", name, f"has shape {shape}", f"expected shape ({n_test},)")
    elif name == EMBEDDING and len(shape) != 2:
        container.refuse("bad-shape", name, f"has shape {shape}", f"expected shape ({n_test}, D)")
    elif shape[0] != n_test and name != "image":
        problem = f"{shape[0]} rows, but the benchmark has {n_test} query and gallery images"
        container.refuse("wrong-row-count", name, problem, f"expected {n_test} rows, in the order of 'image'")
    else:
        return
    del container.arrays[name]


def _align(container: Container, images: Array, benchmark: Benchmark) -> IntArray | None:
    """Shape (n_test,); the submission's row for each test row. Refuses missing, unknown and repeated images."""
    if "image" not in container.arrays:
        return None
    test = benchmark.images[benchmark.test_rows]
    rows = find_images(images, test)
    unknown = np.asarray(rows == NOT_FOUND)
    if unknown.any():
        _refuse_unknown(container, images, unknown, benchmark)
    known = np.flatnonzero(~unknown)
    first = np.full(test.size, NOT_FOUND)
    first[rows[known][::-1]] = known[::-1]
    repeated = np.zeros(images.size, dtype=bool)
    repeated[known] = first[rows[known]] != known
    if repeated.any():
        problem = rows_with(repeated, _row_namer(images), lambda row: f"is already in row {first[rows[row]]}")
        remedy = "every query and gallery image exactly once"
        container.refuse("duplicate-image", "image", problem, remedy, int(repeated.sum()))
    missing = np.flatnonzero(first == NOT_FOUND)
    for split in np.unique(benchmark.split[benchmark.test_rows[missing]]):
        names = test[missing[benchmark.split[benchmark.test_rows[missing]] == split]]
        verb = "images are" if names.size > 1 else "image is"
        problem = f"{names.size} {SPLITS[split]} {verb} missing: {first_few(names, names.size)}"
        container.refuse("missing-image", "image", problem, "every query and gallery image exactly once", names.size)
    return first.astype(np.int64) if missing.size == 0 else None


def _refuse_unknown(container: Container, images: Array, unknown: BoolArray, benchmark: Benchmark) -> None:
    shown = {_simplified_id(str(images[row])) for row in np.flatnonzero(unknown)[:N_ROWS_NAMED]}
    similar = {key: image for image in benchmark.images[benchmark.test_rows] if (key := _simplified_id(image)) in shown}

    def row_fault(row: int) -> str:
        image = str(images[row])
        place = bisect_left(benchmark.images, image)
        if place < benchmark.images.size and benchmark.images[place] == image:
            return f"is a {SPLITS[benchmark.split[place]]} image"
        near = similar.get(_simplified_id(image))
        return f"is unknown, did you mean {quoted(near)}?" if near else "is unknown"

    problem = rows_with(unknown, _row_namer(images), row_fault)
    remedy = "use the image ids of the benchmark's query and gallery, as written in its annotations"
    remedy += id_repair(str(images[np.flatnonzero(unknown)[0]]), benchmark.images[benchmark.test_rows])
    container.refuse("unknown-image", "image", problem, remedy, int(unknown.sum()))


def _simplified_id(image: str) -> str:
    """An image id without its images folder and extension, and with case, slashes and outer spaces made uniform."""
    inside = f"/{unicodedata.normalize('NFC', image).strip()}".replace("\\", "/").rpartition("/images/")[2]
    stem, dot, extension = inside.removeprefix("/").removeprefix("./").rpartition(".")
    return (stem if dot and "/" not in extension else extension).casefold()


def _embedding(container: Container, distance: str, name_row: RowNamer) -> EmbeddingArray | None:
    values = container.arrays[EMBEDDING]
    if values.dtype.kind == "f" and values.dtype.itemsize == 8 and values.size * 4 <= MAX_MEMORY_BYTES:
        container.notes.append("the embedding is float64 and was taken as float32")
        values = container.arrays[EMBEDDING] = _as_float32(values)
    if values.dtype.kind != "f" or values.dtype.itemsize not in (2, 4):
        remedy = "write float16 or float32: embedding.astype(numpy.float32)"
        container.refuse("bad-dtype", EMBEDDING, f"has dtype {values.dtype.str}", remedy)
        return None
    if not 1 <= values.shape[1] <= MAX_DIMENSION:
        remedy = f"expected a dimension from 1 to {MAX_DIMENSION}"
        container.refuse("bad-shape", EMBEDDING, f"has dimension {values.shape[1]}", remedy)
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

        def row_fault(row: int) -> str:
            vector = rows_of(values, slice(row, row + 1))
            kinds = ((int(np.isnan(vector).sum()), "NaN"), (int(np.isinf(vector).sum()), "Inf"))
            return ", ".join(f"{n} of {dimension} values are {kind}" for n, kind in kinds if n)

        remedy = "every value must be finite; float16 overflows above 65504, float32 above 3.4e38"
        container.refuse("not-finite", EMBEDDING, rows_with(bad, name_row, row_fault), remedy, int(bad.sum()))
    if distance == "cosine" and zero.any():
        problem = rows_with(zero, name_row, lambda _: "all values are 0")
        remedy = "a zero vector has no direction: correct it, or set distance to euclidean in meta"
        container.refuse("zero-vector", EMBEDDING, problem, remedy, int(zero.sum()))
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _as_float32(values: Array) -> EmbeddingArray:
    """The values rounded to float32, in memory; too large ones become infinite, for which they are refused."""
    rounded = np.empty(values.shape, dtype=np.float32)
    with np.errstate(over="ignore"):
        for first, block in row_blocks(values):
            rounded[first : first + block.shape[0]] = block
    return rounded


def _content_digest(arrays: Mapping[str, Array], order: IntArray, distance: str, images: NDArray[np.object_]) -> str:
    """SHA-256 of the arrays with rows sorted by image; independent of row order, memory order, byte order and format.

    Args:
        arrays: the arrays as submitted.
        order: shape (n_test,); the row of `arrays` for each image of the benchmark.
        distance: "cosine" or "euclidean", which is part of the content.
        images: shape (n_test,); equal to `arrays["image"][order]`, passed in because the benchmark has it in memory.
    """
    digest = hashlib.sha256(f"piq-bench/content/1\n{distance}\n".encode())
    for name in sorted(arrays):
        values = arrays[name]
        is_text = values.dtype.kind in "US"
        kind = "text" if is_text else values.dtype.newbyteorder("<").str
        digest.update(f"{name} {kind} {values.shape}\n".encode())
        step = max(1, (TEXT_BLOCK_BYTES if is_text else BLOCK_BYTES) // max(1, values[:1].nbytes))
        for first in range(0, order.size, step):
            part = slice(first, first + step)
            block = images[part] if name == "image" else rows_of(values, order[part])
            if is_text:
                texts = block.ravel().tolist()
                if block.dtype.kind == "S":
                    texts = [text.decode("utf-8") for text in texts]
                digest.update("".join([f"{len(text)}:{text}" for text in texts]).encode())
            else:
                stored = np.ascontiguousarray(block.astype(values.dtype.newbyteorder("<"), copy=False))
                digest.update(stored.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _file_digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size in bytes; for a folder, the SHA-256 of its files' names and digests, and their total size."""
    if path.is_file():
        return sha256_of(path), path.stat().st_size
    files = sorted(entry for entry in path.iterdir() if not is_litter(entry.name))
    lines = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest(), sum(file.stat().st_size for file in files)
