"""Reads the image ids of a submission's rows and columns, and finds the benchmark's images among them.

Missing, unknown and repeated images are refused, all of them at once. Junk images may be missing.
"""

from bisect import bisect_left

import numpy as np

from piq_bench.errors import first_few, quoted
from piq_bench.read.alignment import NOT_FOUND, find_images
from piq_bench.read.container import Container
from piq_bench.read.id_repair import id_repair, nearest_ids
from piq_bench.read.mapped import Array, row_blocks, rows_of
from piq_bench.read.predictions import N_ROWS_NAMED, rows_with
from piq_bench.read.validate import RowNamer
from piq_bench.records import SPLITS, Benchmark, BoolArray, IntArray

TEXT_BLOCK_BYTES = 4 << 20
TEXT_REMEDY = "write text: numpy.array([...], dtype=str)"
SPLITS_OF = {"image": "query and gallery", "query": "query", "gallery": "gallery"}
"""Which images each array of ids names."""


def read_texts(container: Container, name: str) -> Array | None:
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
    return values if values.dtype.isnative else rows_of(values, slice(None)).astype(values.dtype.newbyteorder("="))


def row_namer(images: Array | None, kind: str = "row") -> RowNamer:
    """A function that names a row by its number and image, or by its number alone if its image is not known."""

    def name_row(row: int) -> str:
        if images is None or images.ndim != 1 or row >= images.size:
            return f"{kind} {row}"
        return f"{kind} {row} ({quoted(_text(images, row))})"

    return name_row


def _text(images: Array, row: int) -> str:
    """The text of one row of an array that may be mapped."""
    return str(rows_of(images, slice(row, row + 1))[0])


def align(
    container: Container, name: str, images: Array, benchmark: Benchmark, wanted: IntArray, may_miss: BoolArray
) -> IntArray | None:
    """The submission's row for each wanted image; None, with problems, if images are missing, unknown or repeated.

    Args:
        container: where problems are recorded.
        name: of the array of ids: "image", "query" or "gallery".
        images: shape (n_rows,), str; its values.
        benchmark: the benchmark.
        wanted: shape (n_wanted,); benchmark rows of the images that it must name, ascending.
        may_miss: shape (n_wanted,); images that need no row; NOT_FOUND stands for the row of one that has none.
    """
    rows = find_images(images, benchmark.images[wanted])
    unknown = np.asarray(rows == NOT_FOUND)
    if unknown.any():
        _refuse_unknown(container, name, images, unknown, benchmark, wanted)
    known = np.flatnonzero(~unknown)
    first = np.full(wanted.size, NOT_FOUND)
    first[rows[known][::-1]] = known[::-1]
    repeated = np.zeros(images.size, dtype=bool)
    repeated[known] = first[rows[known]] != known
    remedy = f"every {SPLITS_OF[name]} image exactly once"
    if repeated.any():
        problem = rows_with(repeated, row_namer(images), lambda row: f"is already in row {first[rows[row]]}")
        container.refuse("duplicate-image", name, problem, remedy, int(repeated.sum()))
    missing = wanted[(first == NOT_FOUND) & ~may_miss]
    if missing.size == 0:
        return first.astype(np.int64)
    for split in np.unique(benchmark.split[missing]):
        names = benchmark.images[missing[benchmark.split[missing] == split]]
        verb = "images are" if names.size > 1 else "image is"
        problem = f"{names.size} {SPLITS[split]} {verb} missing: {first_few(names, names.size)}"
        container.refuse("missing-image", name, problem, remedy, names.size)
    return None


def _refuse_unknown(
    container: Container, name: str, images: Array, unknown: BoolArray, benchmark: Benchmark, wanted: IntArray
) -> None:
    shown = [_text(images, row) for row in np.flatnonzero(unknown)[:N_ROWS_NAMED]]
    nearest = dict(zip(shown, nearest_ids(shown, benchmark.images[wanted]), strict=True))

    def row_fault(row: int) -> str:
        image = _text(images, row)
        place = bisect_left(benchmark.images, image)
        if place < benchmark.images.size and benchmark.images[place] == image:
            return f"is a {SPLITS[benchmark.split[place]]} image"
        near = nearest[image]
        return f"is unknown, did you mean {quoted(near)}?" if near else "is unknown"

    problem = rows_with(unknown, row_namer(images), row_fault)
    remedy = f"use the image ids of the benchmark's {SPLITS_OF[name]}, as written in its annotations"
    remedy += id_repair(_text(images, int(np.flatnonzero(unknown)[0])), benchmark.images[wanted])
    container.refuse("unknown-image", name, problem, remedy, int(unknown.sum()))
