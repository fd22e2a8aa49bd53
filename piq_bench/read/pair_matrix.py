"""Reads a matrix of distances or similarities, which a submission may hold instead of an embedding, and checks it.

`query` and `gallery` name its rows and columns. The stored values are the similarity: nothing is computed from them, so
re-ranking and part matching can be scored. A matrix in a folder stays on disk and is read block by block.
"""

from collections.abc import Iterator

import numpy as np

from piq_bench.errors import quoted
from piq_bench.read.container import DISTANCE, GALLERY_IDS, MATRICES, QUERY_IDS, Container
from piq_bench.read.image_ids import align, read_texts, row_namer
from piq_bench.read.mapped import BLOCK_BYTES, Array, is_mapped, row_blocks, rows_of
from piq_bench.read.predictions import rows_with
from piq_bench.records import GALLERY, QUERY, Benchmark, BoolArray, IntArray, PairMatrix

NONE = -1
ROUNDED = "float64 values are rounded to float32"
MAX_TURNED_BYTES = 1 << 30


def read_matrix(container: Container, benchmark: Benchmark) -> PairMatrix | None:
    """The matrix of a submission; None if there is none, or, with problems, if it is refused.

    Args:
        container: the arrays, and where problems are recorded.
        benchmark: benchmark with a retrieval task.
    """
    name = next((name for name in MATRICES if name in container.arrays), None)
    ids = {each: read_texts(container, each) for each in (QUERY_IDS, GALLERY_IDS)}
    found = [
        _align_axis(container, each, ids[each], name, axis, split, benchmark)
        for axis, (each, split) in enumerate(((QUERY_IDS, QUERY), (GALLERY_IDS, GALLERY)))
    ]
    if name is None:
        return None
    values = _turned(container, name)
    if values is None or not _check_values(container, name, values, ids):
        return None
    row, column = found
    return None if row is None or column is None else PairMatrix(values, name == DISTANCE, row, column)


def matrix_content(matrix: PairMatrix, benchmark: Benchmark) -> Iterator[bytes | memoryview]:
    """What a digest of the content covers: ids and values, with rows and columns in the benchmark's order."""
    values, images = matrix.values, benchmark.images[benchmark.test_rows]
    row, column = matrix.row[matrix.row != NONE], matrix.column[matrix.column != NONE]
    dtype = np.dtype("<f2") if values.dtype.itemsize == 2 else np.dtype("<f4")
    name = DISTANCE if matrix.is_distance else "similarity"
    yield f"{name} {dtype.str} {(row.size, column.size)}\n".encode()
    for own in (images[matrix.row != NONE], images[matrix.column != NONE]):
        yield "".join([f"{len(text)}:{text}" for text in own]).encode()
    in_order = column.size == values.shape[1] and bool((np.diff(column) == 1).all())
    step = max(1, BLOCK_BYTES // max(1, values[:1].nbytes))
    for first in range(0, row.size, step):
        block = rows_of(values, row[first : first + step])
        stored = np.ascontiguousarray((block if in_order else block[:, column]).astype(dtype, copy=False))
        yield stored.reshape(-1).view(np.uint8).data


def _align_axis(
    container: Container,
    name: str,
    images: Array | None,
    matrix: str | None,
    axis: int,
    split: int,
    benchmark: Benchmark,
) -> IntArray | None:
    """Shape (n_test,); the row or column of each test row, NONE where there is none; None if the ids are refused."""
    if images is None:
        return None
    if images.ndim != 1:
        container.refuse("bad-shape", name, f"has shape {images.shape}", "expected one id per image, shape (n,)")
        return None
    test = benchmark.test_rows
    if matrix is not None and container.arrays[matrix].ndim == 2:
        n_named = container.arrays[matrix].shape[axis]
        if n_named != images.size:
            kind = ("rows", "columns")[axis]
            problem = f"{images.size} ids, but {quoted(matrix)} has {n_named} {kind}"
            container.refuse("wrong-row-count", name, problem, f"the id of each of the {kind}, in their order")
            return None
    own = np.flatnonzero(benchmark.split[test] == split)
    found = align(container, name, images, benchmark, test[own], benchmark.junk[test[own]])
    if found is None:
        return None
    place = np.full(test.size, NONE, dtype=np.int64)
    place[own] = found
    return place


def _turned(container: Container, name: str) -> Array | None:
    """The values in row order and native bytes; None, with a problem, if they have no such form."""
    values = container.arrays[name]
    if values.ndim != 2:
        container.refuse("bad-shape", name, f"has shape {values.shape}", "expected shape (n_query, n_gallery)")
        return None
    if values.dtype.kind != "f":
        remedy = f"write float16 or float32: {name}.astype(numpy.float32)"
        container.refuse("bad-dtype", name, f"has dtype {values.dtype.str}", remedy)
        return None
    if is_mapped(values) and not (values.flags.c_contiguous and values.dtype.isnative):
        if values.nbytes > MAX_TURNED_BYTES:  # every block of rows would read the whole file
            problem = "is stored column by column, or with its bytes reversed"
            container.refuse("bad-order", name, problem, f"write numpy.ascontiguousarray({name}, dtype=numpy.float32)")
            return None
        turned: Array = rows_of(values, slice(None)).astype(values.dtype.newbyteorder("="), copy=False)
        return turned
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _check_values(container: Container, name: str, values: Array, ids: dict[str, Array | None]) -> bool:
    """Whether all values are finite as float32."""
    wrong: BoolArray = np.zeros(values.shape[0], dtype=bool)
    n_wrong = 0
    for first, block in row_blocks(values):
        finite = _is_finite(block)
        if not finite.all():
            wrong[first : first + block.shape[0]] = ~finite.all(axis=1)
            n_wrong += int(finite.size - finite.sum())
    if not n_wrong:
        return True
    name_column = row_namer(ids[GALLERY_IDS], "column")

    def row_fault(row: int) -> str:
        own = rows_of(values, slice(row, row + 1))[0]
        columns = np.flatnonzero(~_is_finite(own))
        value = own[columns[0]]
        kind = "NaN" if np.isnan(value) else "Inf" if np.isinf(value) else f"{value}, too large for float32"
        rest = f", and {columns.size - 1} more" if columns.size > 1 else ""
        return f"{name_column(int(columns[0]))} is {kind}{rest}"

    remedy = "every value must be finite; float16 overflows above 65504"
    container.refuse("not-finite", name, rows_with(wrong, row_namer(ids[QUERY_IDS]), row_fault), remedy, n_wrong)
    return False


def _is_finite(values: Array) -> BoolArray:
    if values.dtype.itemsize == 8:
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    return np.isfinite(values)
