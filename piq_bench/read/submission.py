"""Reads an untrusted submission, checks it, aligns it with a benchmark, and reports every problem at once.

`read.formats` opens the file, `read.image_ids` finds the images, `read.predictions` checks the labels, and
`read.pair_matrix` checks a matrix of distances. Rules for embeddings and meta, and the digest of the content, are here.
"""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from piq_bench.documents import parse_json
from piq_bench.errors import BadSubmission, Problem, first_few, printable, quoted
from piq_bench.limits import MAX_MEMORY_BYTES, MAX_META_BYTES
from piq_bench.read.alignment import NOT_FOUND
from piq_bench.read.container import (
    GALLERY_IDS,
    MATRICES,
    OF_MATRIX,
    QUERY_IDS,
    Container,
    Limits,
)
from piq_bench.read.formats import read_container
from piq_bench.read.image_ids import TEXT_BLOCK_BYTES, align, read_texts, row_namer
from piq_bench.read.litter import is_litter
from piq_bench.read.mapped import Array, row_blocks, rows_of
from piq_bench.read.pair_matrix import ROUNDED, matrix_content, read_matrix
from piq_bench.read.predictions import are_scores, read_labels, rows_with, suggest
from piq_bench.read.validate import MIN_NAME_SIMILARITY, RowNamer, closest, text_fault
from piq_bench.records import (
    GALLERY,
    NOT_ANNOTATED,
    QUERY,
    Benchmark,
    BoolArray,
    EmbeddingArray,
    IntArray,
    PairMatrix,
    Submission,
)
from piq_bench.write.files import sha256_of

EMBEDDING = "embedding"
CHECKED_BYTES = 1 << 20  # few enough that the memory of what is computed from them is used again and again
MAX_DIMENSION = 65536
MIN_COLUMN_LIMIT = 1024  # high enough that a wrong number of labels gets its own message, not one about a limit
# By bytes of a float: the unsigned type of that size, the mask of all bits but the sign, and the bits of infinity. With
# the sign masked out, larger numbers are NaN, so that one pass over the bits finds NaN, infinity and zero vectors.
FLOAT_BITS = {2: (np.uint16, np.uint16(0x7FFF), 0x7C00), 4: (np.uint32, np.uint32(0x7FFFFFFF), 0x7F800000)}
DISTANCES = ("cosine", "euclidean")
T = TypeVar("T")
MAX_NAME = 200


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
    before = _file_states(path)
    container = read_container(path, _limits(benchmark))
    with ThreadPoolExecutor(1) as pool:
        # What has problems already, such as a pipe, which would be waited for, is refused without a digest.
        digest = None if container.problems else pool.submit(_file_digest, path)
        try:
            found = check_submission(container, benchmark, source=str(path), name=path.stem, partial=partial)
        finally:
            for note in container.notes:
                tell(note)
        sha256, n_bytes = digest.result() if digest else _file_digest(path)
    if _file_states(path) != before:  # so the digest may be that of other bytes than those that were checked
        remedy = "start again, and let nothing write to it meanwhile"
        raise BadSubmission(str(path), [Problem("changed", path.name, "changed while it was read", remedy)])
    return replace(found, file_sha256=sha256, file_bytes=n_bytes)


def check_submission(
    container: Container, benchmark: Benchmark, *, source: str, name: str, partial: bool = False
) -> Submission:
    """Check the arrays of a submission and align them with a benchmark; there is no file yet.

    Args:
        container: arrays, and the problems found so far.
        benchmark: the benchmark that the submission was made for.
        source: where the arrays come from, for messages.
        name: of the submission, unless meta has one.
        partial: accept a submission that lacks some answers, but not one that lacks all of them.

    Raises:
        BadSubmission: with every problem found.
    """
    _check_names(container, benchmark, _limits(benchmark), partial)
    meta = _meta(container, benchmark)
    distance: Literal["cosine", "euclidean"] = "euclidean" if meta.get("distance") == "euclidean" else "cosine"
    of_matrix = {}
    if takes_matrix(benchmark):
        of_matrix = {each: container.arrays.pop(each) for each in OF_MATRIX if each in container.arrays}
    images = read_texts(container, "image")
    name_row = row_namer(images)
    may_miss = _may_miss(container, benchmark)
    n_rows = _n_rows(images, may_miss)
    for each in sorted(container.arrays):
        _check_rows(container, each, benchmark, n_rows)
    order: IntArray | None = None
    if "image" in container.arrays and images is not None:
        order = align(container, "image", images, benchmark, benchmark.test_rows, may_miss)
    elif not container.names - set(OF_MATRIX) - {"meta"}:
        order = np.full(benchmark.test_rows.size, NOT_FOUND)
    embedding = _embedding(container, distance, name_row) if EMBEDDING in container.arrays else None
    predictions: dict[str, IntArray | BoolArray] = {}
    scores: dict[str, Array] = {}
    for task in benchmark.classification_tasks:
        values = container.arrays.get(task.name)
        if values is not None:
            if values.dtype.kind in "US":
                values = read_texts(container, task.name)
            labels = None if values is None else read_labels(task, values, name_row, container.problems)
            if values is not None and labels is not None:
                predictions[task.name] = labels
                if are_scores(values):
                    scores[task.name] = values
    by_row = dict(container.arrays)
    container.arrays.update(of_matrix)
    matrix = read_matrix(container, benchmark) if of_matrix else None
    if container.problems or order is None:
        raise BadSubmission(source, container.problems)
    has_row = order != NOT_FOUND
    usable = np.where(has_row, order, 0)  # any row: nothing is computed for junk
    return Submission(
        name=str(meta.get("name", printable(name, MAX_NAME))),
        distance=distance,
        meta=meta,
        content=_content_digest(by_row, order[has_row], distance, benchmark, matrix, has_row),
        embedding=embedding,
        order=usable,
        predictions={name: labels[usable] for name, labels in predictions.items()},
        file_sha256="",
        file_bytes=0,
        scores={name: rows_of(values, usable) for name, values in scores.items()},
        matrix=matrix,
        notes=(ROUNDED,) if matrix is not None and matrix.values.dtype.itemsize == 8 else (),
    )


def takes_matrix(benchmark: Benchmark) -> bool:
    """Whether a matrix can be submitted; tasks of a benchmark keep their names."""
    return benchmark.retrieval_task is not None and not {task.name for task in benchmark.tasks} & set(OF_MATRIX)


def _limits(benchmark: Benchmark) -> Limits:
    max_columns = {"image": MIN_COLUMN_LIMIT, "meta": 0}
    if benchmark.retrieval_task is not None:
        max_columns[EMBEDDING] = MAX_DIMENSION
    for task in benchmark.classification_tasks:
        max_columns[task.name] = max(MIN_COLUMN_LIMIT, len(task.labels))
    has_matrix = takes_matrix(benchmark)
    if has_matrix:
        n_query, n_gallery = (int((benchmark.split == split).sum()) for split in (QUERY, GALLERY))
        max_columns |= dict.fromkeys(MATRICES, n_query + 2 * n_gallery + MIN_COLUMN_LIMIT)
        max_columns |= dict.fromkeys((QUERY_IDS, GALLERY_IDS), MIN_COLUMN_LIMIT)
    return Limits(benchmark.test_rows.size, max_columns, has_matrix)


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
    of_matrix = OF_MATRIX if limits.has_matrix else ()
    no_answers = {"image", *(set(of_matrix) - set(MATRICES))}
    answers = [name for name in known if name not in no_answers]
    given = [name for name in (EMBEDDING, *MATRICES) if name in known and name in container.names]
    ranks_by_matrix = limits.has_matrix and any(name in MATRICES for name in given)
    by_row = [name for name in known if name not in of_matrix]
    needs_image = not ranks_by_matrix or bool(container.names.intersection(by_row))
    if "image" not in container.names and needs_image:
        remedy = f"add the image id of each row, shape ({limits.n_rows},)"
        container.refuse("missing-array", "image", "is missing", remedy)
    if limits.has_matrix:
        _check_matrix_names(container, given)
    missing = [name for name in by_row if name not in container.names and name != "image"]
    if ranks_by_matrix and EMBEDDING in missing:
        missing.remove(EMBEDDING)
    if partial and not container.names.intersection(answers):
        remedy = f"at least one of {first_few(answers, len(answers))}"
        container.refuse("nothing-to-score", "arrays", "there is neither an embedding nor the array of a task", remedy)
    elif not partial:
        for name in missing:
            remedy = "add it, or score the other arrays with --partial; `piq template` writes an example"
            container.refuse("missing-array", name, "is missing", remedy)


def _check_matrix_names(container: Container, given: list[str]) -> None:
    """Refuse a matrix without ids, ids without a matrix, and two answers to re-id.

    Args:
        container: where problems are recorded.
        given: which of the embedding and the matrices are there.
    """
    if len(given) > 1:
        found = f"is submitted beside {first_few(given[:-1], len(given) - 1)}"
        container.refuse("ambiguous", given[-1], found, "submit one of them: each of them decides the ranking")
    is_matrix = any(name in MATRICES for name in given)
    for name, part in ((QUERY_IDS, "rows"), (GALLERY_IDS, "columns")):
        if is_matrix and name not in container.names:
            remedy = f"add the image ids of the {part} of {quoted(given[-1])}"
            container.refuse("missing-array", name, "is missing", remedy)
        elif not is_matrix and name in container.names:
            found = f"names the {part} of a matrix, but there is none"
            container.refuse("missing-array", name, found, "add 'distance' or 'similarity', or leave it out")


def _may_miss(container: Container, benchmark: Benchmark) -> BoolArray:
    """Shape (n_test,); images that need no row: junk, unless it is annotated for a task that is submitted."""
    rows = benchmark.test_rows
    may_miss = benchmark.junk[rows].copy()
    for task in benchmark.classification_tasks:
        if task.name in container.names and task.name in benchmark.labels and may_miss.any():
            labels = benchmark.labels[task.name][rows]
            may_miss &= (labels == NOT_ANNOTATED).reshape(rows.size, -1).all(axis=1)
    return may_miss


def _n_rows(images: Array | None, may_miss: BoolArray) -> int:
    """The number of rows that arrays should have: that of the image ids, if it is possible."""
    n_least = may_miss.size - int(may_miss.sum())
    return images.size if images is not None and n_least <= images.size <= may_miss.size else may_miss.size


def without_other_columns(columns: Mapping[str, T], benchmark: Benchmark, tell: Callable[[str], None]) -> dict[str, T]:
    """The columns of a table without those that have nothing to do with a benchmark, of which `tell` gets a note.

    A column whose name resembles that of a task stays, since it may be misspelt.
    """
    tasks = (EMBEDDING, *(task.name for task in benchmark.tasks))
    kept = ("image", "meta", *OF_MATRIX, *tasks)
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
        meta = parse_json(text)
    except ValueError as error:
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
        remedy = "pass the submission's benchmark with --dataset, or correct benchmark in meta"
        container.refuse("wrong-benchmark", "meta", problem, remedy)
    return meta


def _check_rows(container: Container, name: str, benchmark: Benchmark, n_rows: int) -> None:
    """Check that an array has a row per image, and drop it from the container if it has not."""
    shape, n_test = container.arrays[name].shape, benchmark.test_rows.size
    if name == "image" and len(shape) != 1:
        container.refuse("bad-shape", name, f"has shape {shape}", f"expected shape ({n_test},)")
    elif name == EMBEDDING and len(shape) != 2:
        container.refuse("bad-shape", name, f"has shape {shape}", f"expected shape ({n_test}, D)")
    elif shape[0] != n_rows and name != "image":
        problem = f"{shape[0]} rows, but the benchmark has {n_test} query and gallery images"
        if n_rows != n_test:
            problem = f"{shape[0]} rows, but there are {n_rows} image ids"
        container.refuse("wrong-row-count", name, problem, f"expected {n_rows} rows, in the order of 'image'")
    else:
        return
    del container.arrays[name]


def _embedding(container: Container, distance: str, name_row: RowNamer) -> EmbeddingArray | None:
    values = container.arrays[EMBEDDING]
    if values.dtype.kind == "f" and values.dtype.itemsize == 8 and values.size * 4 <= MAX_MEMORY_BYTES:
        container.notes.append("the embedding is float64 and was taken as float32")
        values = container.arrays[EMBEDDING] = _in_memory(values, np.dtype(np.float32))
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
    for first, block in row_blocks(values, CHECKED_BYTES):
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
    return values if values.dtype.isnative else _in_memory(values, values.dtype.newbyteorder("="))


def _in_memory(values: Array, dtype: np.dtype[Any]) -> EmbeddingArray:
    """The values in memory and in another type; too large ones become infinite, for which they are refused."""
    rounded = np.empty(values.shape, dtype=dtype)
    with np.errstate(over="ignore"):
        for first, block in row_blocks(values):
            rounded[first : first + block.shape[0]] = block
    return rounded


def _content_digest(
    arrays: Mapping[str, Array],
    order: IntArray,
    distance: str,
    benchmark: Benchmark,
    matrix: PairMatrix | None,
    has_row: BoolArray,
) -> str:
    """SHA-256 of the arrays with rows sorted by image; independent of row order, memory order, byte order and format.

    Args:
        arrays: the arrays as submitted, without those of a matrix.
        order: shape (n_rows,); the row of `arrays` for each image, in the order of the benchmark.
        distance: "cosine" or "euclidean", which is part of the content.
        benchmark: the benchmark, which has the image ids in memory.
        matrix: the submitted matrix; None if there is none.
        has_row: shape (n_test,); which images of the benchmark have a row.
    """
    images = benchmark.images[benchmark.test_rows[has_row]]
    digest = hashlib.sha256(f"piq-bench/content/1\n{distance}\n".encode())
    for name in sorted(arrays):
        values = arrays[name]
        is_text = values.dtype.kind in "US"
        kind = "text" if is_text else values.dtype.newbyteorder("<").str
        digest.update(f"{name} {kind} {values.shape}\n".encode())
        step = max(1, (TEXT_BLOCK_BYTES if is_text else CHECKED_BYTES) // max(1, values[:1].nbytes))
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
    if matrix is not None:
        for part_of_matrix in matrix_content(matrix, benchmark):
            digest.update(part_of_matrix)
    return digest.hexdigest()


def _file_states(path: Path) -> list[tuple[object, ...]] | None:
    """What the system notes of every change of a file, or of the files of a folder; None if it cannot be read.

    Nobody can set the time of the last change of content or properties, the last number, to an earlier one.
    """
    try:
        files = [path] if path.is_file() else sorted(entry for entry in path.iterdir() if not is_litter(entry.name))
        found = [(file.name, file.stat()) for file in files]
    except OSError:
        return None
    return [(name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in found]


def _file_digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size in bytes; for a folder, the SHA-256 of its files' names and digests, and their total size."""
    if path.is_file():
        return sha256_of(path), path.stat().st_size
    files = sorted(entry for entry in path.iterdir() if not is_litter(entry.name))
    lines = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest(), sum(file.stat().st_size for file in files)
