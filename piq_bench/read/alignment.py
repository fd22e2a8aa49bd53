"""Finds the benchmark's image for each row of a submission, for millions of rows and without a dictionary.

Image ids are looked up by a hash, and every match is then confirmed by comparing the ids themselves. A collision costs
time, but never gives a wrong answer.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from piq_bench.read.mapped import Array, rows_of
from piq_bench.records import IntArray

NOT_FOUND = -1
BLOCK_ROWS = 1 << 16
SEED = 0  # of the factors in the hash; any seed would do


def find_images(images: Array, wanted: NDArray[np.object_]) -> IntArray:
    """Shape (n_rows,); the index in `wanted` of each row's image, NOT_FOUND if it is not there.

    Args:
        images: shape (n_rows,), str; may be memory-mapped.
        wanted: shape (n_wanted,), str (object dtype); unique.
    """
    index = np.arange(images.size)
    # Most submissions are in the order of the benchmark.
    if images.size == wanted.size and all(
        np.array_equal(block, _texts(wanted[part])) for part, block in _blocks(images)
    ):
        return index
    keys = np.concatenate([np.zeros(0, np.uint64), *(_hashes(_texts(wanted[part])) for part in _parts(wanted.size))])
    by_key = np.argsort(keys)
    keys = keys[by_key]
    for part, block in _blocks(images):
        index[part] = _find_block(block, wanted, keys, by_key)
    return index


def _find_block(block: Array, wanted: NDArray[np.object_], keys: NDArray[np.uint64], by_key: IntArray) -> IntArray:
    """Shape (n_block,); the index in `wanted` of each image. Wanted images of equal hash are tried one after another.

    Args:
        block: shape (n_block,), str.
        wanted: shape (n_wanted,), str (object dtype).
        keys: shape (n_wanted,); hashes of the wanted images, ascending.
        by_key: shape (n_wanted,); index in `wanted` of each key.
    """
    found = np.full(block.size, NOT_FOUND)
    hashed = _hashes(block)
    unresolved, at = np.arange(block.size), np.searchsorted(keys, hashed)
    while True:
        same_hash = at < keys.size
        same_hash[same_hash] = keys[at[same_hash]] == hashed[unresolved[same_hash]]
        unresolved, at = unresolved[same_hash], at[same_hash]
        if not unresolved.size:
            return found
        same = np.asarray(block[unresolved] == _texts(wanted[by_key[at]]))
        found[unresolved[same]] = by_key[at[same]]
        unresolved, at = unresolved[~same], at[~same] + 1


def _hashes(block: Array) -> NDArray[np.uint64]:
    """Shape (n_block,); the sum of the code points, each times a factor for its position, modulo 2**64."""
    if block.size == 0 or block.dtype.itemsize == 0:
        return np.zeros(block.size, dtype=np.uint64)
    points = np.ascontiguousarray(block).view(np.uint32).reshape(block.size, -1)
    hashed = np.zeros(block.size, dtype=np.uint64)
    for column, factor in zip(points.T, np.random.PCG64(SEED).random_raw(points.shape[1]), strict=True):
        hashed += column * np.uint64(factor)
    return hashed


def _blocks(images: Array) -> Iterator[tuple[slice, Array]]:
    for part in _parts(images.size):
        yield part, rows_of(images, part).astype(images.dtype.newbyteorder("="), copy=False)


def _parts(n_rows: int) -> Iterator[slice]:
    for first in range(0, n_rows, BLOCK_ROWS):
        yield slice(first, first + BLOCK_ROWS)


def _texts(values: NDArray[np.object_]) -> Array:
    return values.astype(np.str_)
