"""Arrays that stay in their file: opened like a memory map, read row by row without filling memory.

A mapped array is a plain read-only numpy array, and indexing it works. But every page touched through a map counts as
this process's memory, with its neighbours up to 2 MiB around it; so whoever walks a large array takes its rows through
`rows_of` or `row_blocks`, which read the file and leave the map alone. Arrays in memory pass through as well.
"""

import mmap
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import IntArray

BLOCK_BYTES = 16 << 20
Array = NDArray[Any]


class _FileMap(mmap.mmap):
    """A map that still knows its file."""

    descriptor: int


def map_array(path: Path, dtype: np.dtype[np.generic], n_values: int, offset: int) -> Array:
    """Shape (n_values,), at least one; the values that begin at a byte of a file, read-only.

    Raises:
        OSError: if the file cannot be mapped.
        ValueError: if it is too short.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        mapping = _FileMap(descriptor, 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        os.close(descriptor)
        raise
    mapping.descriptor = descriptor
    weakref.finalize(mapping, os.close, descriptor)
    return np.frombuffer(mapping, dtype=dtype, count=n_values, offset=offset)


def is_mapped(array: Array) -> bool:
    """Whether an array, or what it is a view of, lies in a mapped file."""
    return _mapping(array) is not None


def release(array: Array) -> None:
    """Hand back the pages that indexing has touched; they are read again when needed. Else nothing happens."""
    mapping = _mapping(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on every system
        mapping.madvise(mmap.MADV_DONTNEED)


def rows_of(array: Array, rows: IntArray | slice) -> Array:
    """A copy of some rows in memory, in the order asked for. Threads may call this at the same time.

    Args:
        array: shape (n, ...), in C order if its file is to be read without its map.
        rows: indices from 0, shape (n_rows,), or a slice without a step.

    Raises:
        IndexError: if there is no such row.
        OSError: if the file has become shorter, or cannot be read.
    """
    if isinstance(rows, slice):
        first, last, _ = rows.indices(array.shape[0])
        taken = np.empty((max(0, last - first), *array.shape[1:]), dtype=array.dtype)
        _fill(taken, array, first)
        return taken
    file = _file_of(array)
    if file is None:
        taken = np.asarray(array[rows])
        release(array)
        return taken
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < array.shape[0]:
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {array.shape[0]}")
    taken = np.empty((rows.size, *array.shape[1:]), dtype=array.dtype)
    descriptor, start = file
    n_row_bytes = array[:1].nbytes
    content = taken.reshape(-1).view(np.uint8).data
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts = np.concatenate([[0], breaks]) if rows.size else breaks
    ends = np.concatenate([breaks, [rows.size]]) * n_row_bytes
    places = start + rows[firsts] * n_row_bytes
    for first, end, place in zip((firsts * n_row_bytes).tolist(), ends.tolist(), places.tolist(), strict=False):
        if os.preadv(descriptor, [content[first:end]], place) != end - first:
            _read(descriptor, content[first:end], place)
    return taken


def row_blocks(array: Array, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, Array]]:
    """All rows in blocks, each with the number of its first; a block is good until the next one is asked for."""
    step = max(1, block_bytes // max(1, array[:1].nbytes))
    if not is_mapped(array):
        for first in range(0, array.shape[0], step):
            yield first, array[first : first + step]
        return
    room = np.empty((min(step, array.shape[0]), *array.shape[1:]), dtype=array.dtype)
    for first in range(0, array.shape[0], step):
        block = room[: array.shape[0] - first]
        _fill(block, array, first)
        yield first, block


def _fill(block: Array, array: Array, first: int) -> None:
    """Copy the rows from `first` on, as many as the block has."""
    file = _file_of(array)
    if file is None:
        np.copyto(block, array[first : first + block.shape[0]])
        release(array)
    elif block.size:
        _read(file[0], block.reshape(-1).view(np.uint8).data, file[1] + first * array[:1].nbytes)


def _read(descriptor: int, content: memoryview, place: int) -> None:
    """Fill `content` with what stands at a byte of a file."""
    while content:
        n_read = os.preadv(descriptor, [content], place)
        if n_read == 0:
            raise OSError("the file has become shorter while it was read")
        content, place = content[n_read:], place + n_read


def _file_of(array: Array) -> tuple[int, int] | None:
    """Descriptor and byte of the first row, if the rows lie one after another in a file; else None."""
    mapping = _mapping(array)
    if not isinstance(mapping, _FileMap) or not array.flags.c_contiguous or not hasattr(os, "preadv"):
        return None
    start = np.frombuffer(mapping, dtype=np.uint8, count=1)
    return mapping.descriptor, array.__array_interface__["data"][0] - start.__array_interface__["data"][0]


def _mapping(array: Array) -> mmap.mmap | None:
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):  # what numpy.frombuffer puts between an array and its buffer
        owner = owner.obj
    return owner if isinstance(owner, mmap.mmap) else None
