"""Memory-mapped arrays whose rows can be read without filling memory.

A mapped array is a plain read-only numpy array and can be indexed like any other. But every page touched through the
map counts as memory of this process, together with its neighbours, up to 2 MiB. Code that reads a large array should
therefore use `rows_of` or `row_blocks`, which read the file directly. Both accept arrays in memory as well. Both refuse
a file that changed since a row was first read, so what is scored is what was checked.
"""

import mmap
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadSubmission, Problem
from piq_bench.read.seal import SEED, Seal
from piq_bench.read.strided import Read, copy_rows, copy_view
from piq_bench.records import BoolArray, IntArray

BLOCK_BYTES = 16 << 20
Array = NDArray[Any]


class _FileMap(mmap.mmap):
    """A memory map that keeps the descriptor of its file, its path, and a seal for each array that views it."""

    descriptor: int
    path: Path
    seals: dict[tuple[object, ...], Seal]


def map_array(path: Path, dtype: np.dtype[np.generic], n_values: int, offset: int) -> Array:
    """Map values of a file into a read-only array of shape (n_values,).

    Args:
        path: the file.
        dtype: type of the values.
        n_values: number of values, at least 1.
        offset: position of the first value in the file, in bytes.

    Raises:
        OSError: if the file cannot be mapped.
        ValueError: if the file is too short.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        mapping = _FileMap(descriptor, 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        os.close(descriptor)
        raise
    mapping.descriptor, mapping.path, mapping.seals = descriptor, path, {}
    weakref.finalize(mapping, os.close, descriptor)
    return np.frombuffer(mapping, dtype=dtype, count=n_values, offset=offset)


@dataclass(frozen=True, eq=False)
class StoredArray:
    """Where a mapped array lies, and the hashes of some of its rows, for another process that maps the same file.

    Attributes:
        path: the file, absolute.
        offset: position of the first row, in bytes.
        dtype: type of the values, as numpy writes it.
        shape: shape of the whole array.
        seed: from which the factors of the hashes are drawn.
        rows: shape (n_rows,); the rows whose hashes follow.
        hashed: shape (n_rows,); their hashes as `Seal` makes them.
        is_known: shape (n_rows,); whether the row was read at all.
    """

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    seed: int
    rows: IntArray
    hashed: NDArray[np.uint64]
    is_known: BoolArray


def stored_array(array: Array, rows: IntArray) -> StoredArray | None:
    """Where an array lies; None if it is not a mapped array in C order of a file that is still at its path."""
    file = _file_of(array)
    if file is None:
        return None
    mapping, offset = file
    try:
        if not os.path.samestat(mapping.path.stat(), os.fstat(mapping.descriptor)):
            return None
    except OSError:
        return None
    seal = mapping.seals.get(_view(array)) or Seal(array.shape[0], array[:1].nbytes)
    path = str(mapping.path.resolve())
    return StoredArray(path, offset, array.dtype.str, array.shape, SEED, rows, seal.hashed[rows], seal.is_known[rows])


def map_stored(stored: StoredArray) -> Array:
    """Map an array where another process found it; rows that differ from what that process read are refused.

    Raises:
        OSError: if the file cannot be mapped.
        ValueError: if the file is too short.
    """
    n_values = int(np.prod(stored.shape, dtype=np.int64))
    array = map_array(Path(stored.path), np.dtype(stored.dtype), n_values, stored.offset).reshape(stored.shape)
    mapping = _mapping(array)
    if isinstance(mapping, _FileMap):
        seal = Seal(array.shape[0], array[:1].nbytes, stored.seed)
        seal.hashed[stored.rows], seal.is_known[stored.rows] = stored.hashed, stored.is_known
        mapping.seals[_view(array)] = seal
    return array


def is_mapped(array: Array) -> bool:
    """Whether an array is memory-mapped, or a view of a memory-mapped one."""
    return _mapping(array) is not None


def release(array: Array) -> None:
    """Free the memory that indexing a mapped array has filled; no effect on other arrays."""
    mapping = _mapping(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on every system
        mapping.madvise(mmap.MADV_DONTNEED)


def rows_of(array: Array, rows: IntArray | slice) -> Array:
    """Copy some rows into memory, in the given order. Thread-safe.

    Args:
        array: shape (n, ...); a mapped array is read from its file, whatever its order; any other is indexed.
        rows: row indices, shape (n_rows,), none negative; or a slice without a step.

    Raises:
        IndexError: if an index is out of range.
        BadSubmission: if the file was truncated, or its rows are no longer what they were when they were first read.
        OSError: if the file cannot be read.
    """
    if isinstance(rows, slice):
        first, last, _ = rows.indices(array.shape[0])
        copy = np.empty((max(0, last - first), *array.shape[1:]), dtype=array.dtype)
        _fill(copy, array, first)
        return copy
    file = _file_of(array)
    if file is None and not _is_readable(array):
        return np.asarray(array[rows])
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < array.shape[0]:
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {array.shape[0]}")
    copy = np.empty((rows.size, *array.shape[1:]), dtype=array.dtype)
    if file is None:
        _copy_rows(copy, array, rows)
        _compare(array, rows, copy)
        return copy
    mapping, start = file
    n_row_bytes = array[:1].nbytes
    content = copy.reshape(-1).view(np.uint8).data
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts = np.concatenate([[0], breaks]) if rows.size else breaks
    ends = np.concatenate([breaks, [rows.size]]) * n_row_bytes
    places = start + rows[firsts] * n_row_bytes
    for first, end, place in zip((firsts * n_row_bytes).tolist(), ends.tolist(), places.tolist(), strict=False):
        if os.preadv(mapping.descriptor, [content[first:end]], place) != end - first:
            _read(mapping, content[first:end], place)
    _compare(array, rows, copy)
    return copy


def row_blocks(array: Array, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, Array]]:
    """Yield all rows in blocks, each with the index of its first row; the next block may overwrite the last one."""
    step = max(1, block_bytes // max(1, array[:1].nbytes))
    if not is_mapped(array):
        for first in range(0, array.shape[0], step):
            yield first, array[first : first + step]
        return
    buffer = np.empty((min(step, array.shape[0]), *array.shape[1:]), dtype=array.dtype)
    for first in range(0, array.shape[0], step):
        block = buffer[: array.shape[0] - first]
        _fill(block, array, first)
        yield first, block


def _fill(block: Array, array: Array, first: int) -> None:
    """Fill `block` with the rows of `array` from `first` on."""
    file = _file_of(array)
    if file is not None and block.size:
        _read(file[0], block.reshape(-1).view(np.uint8).data, file[1] + first * array[:1].nbytes)
    elif _is_readable(array):
        copy_view(block, array[first : first + block.shape[0]], *_reader_of(array))
    else:
        np.copyto(block, array[first : first + block.shape[0]])
    _compare(array, slice(first, first + block.shape[0]), block)


def _copy_rows(copy: Array, array: Array, rows: IntArray) -> None:
    """Fill `copy` with rows of a mapped array in any order of its axes."""
    if array.ndim <= 2:
        copy_rows(copy, array, rows, *_reader_of(array))
        return
    for place in range(array.shape[-1]):
        _copy_rows(copy[..., place], array[..., place], rows)


def _is_readable(array: Array) -> bool:
    """Whether the file of a mapped array can be read without touching its map."""
    return isinstance(_mapping(array), _FileMap) and hasattr(os, "preadv")


def _reader_of(array: Array) -> tuple[Read, int]:
    """What reads the file of a mapped array, and the address of its first byte in the map."""
    mapping = _mapping(array)
    if not isinstance(mapping, _FileMap):
        raise TypeError("not a mapped array")
    start = np.frombuffer(mapping, dtype=np.uint8, count=1)
    return partial(_read, mapping), start.__array_interface__["data"][0]


def _compare(array: Array, rows: IntArray | slice, content: Array) -> None:
    """Refuse a file whose rows are not what they were when they were first read; other arrays pass."""
    mapping = _mapping(array)
    if not isinstance(mapping, _FileMap) or not content.nbytes:
        return
    view = _view(array)
    seal = mapping.seals.get(view) or mapping.seals.setdefault(view, Seal(array.shape[0], array[:1].nbytes))
    if not seal.holds(rows, np.ascontiguousarray(content)):
        raise _changed(mapping)


def _view(array: Array) -> tuple[object, ...]:
    return (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)


def _changed(mapping: _FileMap) -> BadSubmission:
    name, remedy = mapping.path.name, "start again, and let nothing write to the file meanwhile"
    return BadSubmission(str(mapping.path), [Problem("changed", name, "changed while it was read", remedy)])


def _read(mapping: _FileMap, content: memoryview, place: int) -> None:
    """Fill `content` from position `place` of a file."""
    while content:
        n_read = os.preadv(mapping.descriptor, [content], place)
        if n_read == 0:
            raise _changed(mapping)
        content, place = content[n_read:], place + n_read


def _file_of(array: Array) -> tuple[_FileMap, int] | None:
    """The map, and position in its file of the first row, of a mapped array in C order; None for any other array."""
    mapping = _mapping(array)
    if not isinstance(mapping, _FileMap) or not array.flags.c_contiguous or not _is_readable(array):
        return None
    return mapping, array.__array_interface__["data"][0] - _reader_of(array)[1]


def _mapping(array: Array) -> mmap.mmap | None:
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):  # which numpy.frombuffer puts between an array and its buffer
        owner = owner.obj
    return owner if isinstance(owner, mmap.mmap) else None
