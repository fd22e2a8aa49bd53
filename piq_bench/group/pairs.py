"""Distinct 64-bit hashes to all pairs within a Hamming distance, exactly, block by block.

A hash is cut into four words of 16 bits. With t = 4 a + r, two hashes within t agree within a bits in one of r + 1
chosen words, or within a - 1 in one of the others: were they all further apart, the distances would sum to more than
t. So only hashes that nearly share a word are compared. Which words: those whose values are spread most evenly get
the larger radius. Memory holds the index and one block of candidates, however many pairs there are.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from piq_bench.group.phash import popcount
from piq_bench.records import IntArray

Hashes = NDArray[np.uint64]
Block = tuple[IntArray, IntArray, NDArray[np.uint8]]

N_WORDS = 4
WORD_BITS = 16
N_VALUES = 1 << WORD_BITS
FEW = 2048  # below it, comparing all with all takes less time than looking up every nearby word
CANDIDATES = 1 << 19  # pairs compared at once; a block of them stays in the processor's cache


def near_pairs(hashes: Hashes, threshold: int) -> Iterator[Block]:
    """Yield (first, second, distance) rows of every pair with distance <= threshold, once, with first < second.

    Args:
        hashes: shape (n,), all different.
        threshold: in bits, 0 to 15.

    >>> [[column.tolist() for column in block] for block in near_pairs(np.array([7, 3, 64], dtype=np.uint64), 2)]
    [[[0], [1], [1]]]
    """
    compared = all_pairs(hashes, threshold) if len(hashes) <= FEW else indexed_pairs(hashes, threshold)
    for first, second, distance in compared:
        if first.size:
            yield np.minimum(first, second), np.maximum(first, second), distance


def all_pairs(hashes: Hashes, threshold: int) -> Iterator[Block]:
    """By comparing all with all, some rows at a time."""
    step = max(1, CANDIDATES // max(1, len(hashes)))
    for start in range(0, len(hashes), step):
        distance = popcount(hashes[start : start + step, None] ^ hashes[start:])  # (rows, those from `start` on)
        first, second = np.nonzero(distance <= threshold)
        later = second > first
        first, second = first[later], second[later]
        yield first + start, second + start, distance[first, second]


def indexed_pairs(hashes: Hashes, threshold: int) -> Iterator[Block]:
    """By the word index; a pair found through several words is given by the first of them."""
    words = hashes.view(np.uint16).reshape(-1, N_WORDS)  # which bits form a word differs by machine, the pairs do not
    crowding = [int((np.bincount(words[:, word]).astype(np.int64) ** 2).sum()) for word in range(N_WORDS)]
    whole, rest = divmod(threshold, N_WORDS)
    searched: list[tuple[int, int]] = []
    for place, word in enumerate(np.argsort(crowding, kind="stable").tolist()):
        radius = whole if place <= rest else whole - 1
        if radius < 0:
            continue
        for first, second, distance in sharing_pairs(hashes, words[:, word], radius, threshold):
            new = np.ones(len(first), dtype=np.bool_)
            for earlier, reached in searched:
                new &= popcount(words[first, earlier] ^ words[second, earlier]) > reached
            yield first[new], second[new], distance[new]
        searched.append((word, radius))


def sharing_pairs(hashes: Hashes, word: NDArray[np.uint16], radius: int, threshold: int) -> Iterator[Block]:
    """All pairs within the threshold whose words differ in at most `radius` bits, each once."""
    order = np.argsort(word, kind="stable")
    value, sorted_hashes = word[order].astype(np.int64), hashes[order]
    n_of_value = np.bincount(value, minlength=N_VALUES)
    ends = np.cumsum(n_of_value)
    starts = ends - n_of_value
    for mask in masks(radius):
        partner = value ^ mask
        begin = np.where(partner > value, starts[partner], ends[partner]) if mask else np.arange(1, len(order) + 1)
        for first, second, distance in close_pairs(sorted_hashes, begin, ends[partner], threshold):
            yield order[first], order[second], distance


def close_pairs(hashes: Hashes, begins: IntArray, ends: IntArray, threshold: int) -> Iterator[Block]:
    """Compare row i with the rows from begins[i] to ends[i]; blocks of about CANDIDATES comparisons."""
    rows = np.flatnonzero(ends > begins)
    counts = (ends - begins)[rows]
    upto = np.cumsum(counts)
    cut = 0
    while cut < len(rows):
        done = int(upto[cut - 1]) if cut else 0
        after = max(cut + 1, int(np.searchsorted(upto, done + CANDIDATES, side="right")))
        some, n_each = rows[cut:after], counts[cut:after]
        shift = begins[some] - (upto[cut:after] - n_each - done)  # from the place in this block to the other row
        other = np.repeat(shift, n_each)
        other += np.arange(len(other))
        distance = popcount(np.repeat(hashes[some], n_each) ^ hashes[other])
        near = np.flatnonzero(distance <= threshold)
        first = some[np.searchsorted(upto[cut:after] - done, near, side="right")]
        yield first, other[near], distance[near]
        cut = after


@cache
def masks(radius: int) -> tuple[int, ...]:
    """All 16-bit numbers with at most `radius` bits set."""
    return tuple(mask for mask in range(N_VALUES) if mask.bit_count() <= radius)
