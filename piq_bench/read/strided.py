"""Copies views of a mapped file into memory by reading the file, whatever the order of their axes.

Touching a map whose file was truncated ends the process (SIGBUS), however short the time since its size was checked;
reading past the end of a file does not. What a view spans is read at once where the view uses at least half of it, and
in parts elsewhere.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import IntArray

SPAN_BYTES = 1 << 14  # reading as much takes no longer than starting to read
MOST_BYTES = 16 << 20  # read at once
Array = NDArray[Any]
Read = Callable[[memoryview, int], None]
"""Fills the memory with the bytes of a file from a position on."""


def copy_view(block: Array, view: Array, read: Read, start: int) -> None:
    """Copy a view into an array of its shape.

    Args:
        block: what is filled.
        view: a view of a mapped file; none of its values is touched.
        read: reads the file.
        start: address of the file's first byte in the map.
    """
    if not view.size:
        return
    extents = [(n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True)]
    before = sum(min(0, extent) for extent in extents)
    n_bytes = sum(map(abs, extents)) + view.itemsize
    if n_bytes <= max(SPAN_BYTES, view.itemsize, min(2 * view.nbytes, MOST_BYTES)):
        span = np.empty(n_bytes, dtype=np.uint8)
        read(span.data, view.__array_interface__["data"][0] + before - start)
        np.copyto(block, np.ndarray(view.shape, view.dtype, span, -before, view.strides))
        return
    axis = int(np.argmax(np.abs(extents)))
    half = view.shape[axis] // 2
    for part in (slice(None, half), slice(half, None)):
        own = (slice(None),) * axis + (part,)
        copy_view(block[own], view[own], read, start)


def copy_rows(copy: Array, view: Array, rows: IntArray, read: Read, start: int) -> None:
    """Copy some rows of a view with one or two axes; what lies between rows that are close is read too.

    Args:
        copy: what is filled, shape (n_rows, ...).
        view: a view of a mapped file, as in `copy_view`.
        rows: shape (n_rows,); which rows, in any order.
        read: as in `copy_view`.
        start: as in `copy_view`.
    """
    if not rows.size:
        return
    if view.ndim == 1:
        copy, view = copy[:, np.newaxis], view[:, np.newaxis]
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    is_far = np.diff(ascending) * max(1, abs(view.strides[0])) > SPAN_BYTES
    n_most = max(1, MOST_BYTES // view.itemsize)  # rows of one column
    for near in np.split(order, np.flatnonzero(is_far) + 1):
        first, last = int(rows[near[0]]), int(rows[near[-1]])
        for begin in range(first, last + 1, n_most):
            end = min(last + 1, begin + n_most)
            own = near[(rows[near] >= begin) & (rows[near] < end)]
            width = max(1, n_most // (end - begin))
            for column in range(0, view.shape[1], width):
                part = view[begin:end, column : column + width]
                between = np.empty(part.shape, dtype=view.dtype, order="F")
                copy_view(between, part, read, start)
                copy[own, column : column + width] = between[rows[own] - begin]
