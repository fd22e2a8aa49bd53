"""Finds all pairs of distinct 64-bit hashes within a Hamming distance, exactly, block by block.

A hash is cut into four words of 16 bits. With t = 4 a + r, two hashes within t differ by at most a bits in one of r + 1
chosen words, or by at most a - 1 bits in one of the others: if all words differed more, the distance would be more than
t. So only hashes that nearly share a word are compared. The words whose values are spread most evenly get the larger
radius. Where nearly all hashes are near each other, as in one long shot, the index saves nothing, and all are compared
with all: such a comparison takes a sixth of the time. Memory holds the index and one block of pairs, however many pairs
there are.
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
FEW = 2048  # up to this many hashes, comparing all with all is faster than looking up every nearby word
LOOKUP_COST = 6  # a comparison through the index costs as much as this many plain ones (12 ns and 2 ns)
CANDIDATES = 1 << 19  # pairs compared at once with the index; such a block fits the processor's cache
ROWS, COLUMNS = 64, 2048  # hashes compared at once where all are compared with all
FULL_BLOCK = 1 << 17  # pairs yielded at once


def near_pairs(hashes: Hashes, threshold: int) -> Iterator[Block]:
    """Yields (first, second, distance) of every pair with distance <= threshold, once, with rows first < second.

    Args:
        hashes: shape (n,), all different.
        threshold: greatest distance in bits, 0 to 15.

    >>> [[column.tolist() for column in block] for block in near_pairs(np.array([7, 3, 64], dtype=np.uint64), 2)]
    [[[0], [1], [1]]]
    """
    plain = len(hashes) <= FEW or is_crowded(hashes, threshold)
    held: list[Block] = []
    n_held = 0
    for block in (all_pairs if plain else indexed_pairs)(hashes, threshold):
        held.append(block)
        n_held += len(block[0])
        if n_held >= FULL_BLOCK:
            yield joined(held)
            held, n_held = [], 0
    if n_held:
        yield joined(held)


def joined(blocks: list[Block]) -> Block:
    """Joins blocks into one, with first < second."""
    first, second, distance = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return np.minimum(first, second), np.maximum(first, second), distance


def all_pairs(hashes: Hashes, threshold: int, rows: range | None = None) -> Iterator[Block]:
    """Finds pairs by comparing all hashes, or those of some rows, with all later ones."""
    rows = range(len(hashes)) if rows is None else rows
    for top in range(rows.start, rows.stop, ROWS):
        bottom = min(top + ROWS, rows.stop)
        some = hashes[top:bottom, None]
        for left in range(top, len(hashes), COLUMNS):
            distance = popcount(some ^ hashes[left : left + COLUMNS])  # (rows, columns)
            near = np.flatnonzero(distance <= threshold)
            first, second = np.divmod(near, distance.shape[1])
            first, second = first + top, second + left
            if left < bottom:  # a block on the diagonal has each pair twice
                later = second > first
                near, first, second = near[later], first[later], second[later]
            yield first, second, distance.reshape(-1)[near]


def is_crowded(hashes: Hashes, threshold: int) -> bool:
    """Whether the index would propose so many pairs that comparing all hashes is faster."""
    n_pairs = len(hashes) * (len(hashes) - 1) // 2
    value = np.arange(N_VALUES)
    proposed = 0
    words, searches = plan(hashes, threshold)
    for word, radius in searches:
        n_of_value = np.bincount(words[:, word], minlength=N_VALUES)
        for mask in masks(radius):
            proposed += int(n_of_value @ n_of_value[value ^ mask]) // 2
            if proposed * LOOKUP_COST > n_pairs:
                return True
    return False


def plan(hashes: Hashes, threshold: int) -> tuple[NDArray[np.uint16], list[tuple[int, int]]]:
    """The words of each hash, shape (n, 4), and which words to search within which radius."""
    words = hashes.view(np.uint16).reshape(-1, N_WORDS)  # the bits of a word depend on the machine, the pairs do not
    crowding = [int((np.bincount(words[:, word]).astype(np.int64) ** 2).sum()) for word in range(N_WORDS)]
    whole, rest = divmod(threshold, N_WORDS)
    order = np.argsort(crowding, kind="stable").tolist()
    radii = [whole if place <= rest else whole - 1 for place in range(N_WORDS)]
    return words, [(word, radius) for word, radius in zip(order, radii, strict=True) if radius >= 0]


def indexed_pairs(
    hashes: Hashes, threshold: int, number: int | None = None, rows: range | None = None
) -> Iterator[Block]:
    """Finds pairs by the word index; a pair that several words propose is yielded for the first of them.

    Args:
        hashes: shape (n,), all different.
        threshold: greatest distance in bits.
        number: only what this search of `plan` yields; None for all searches.
        rows: only pairs whose first hash has one of these places in the order of the search's word; None for all.
    """
    words, searches = plan(hashes, threshold)
    for this, (word, radius) in enumerate(searches):
        if number is not None and this != number:
            continue
        for first, second, distance in sharing_pairs(hashes, words[:, word], radius, threshold, rows):
            new = np.ones(len(first), dtype=np.bool_)
            for earlier, reached in searches[:this]:
                new &= popcount(words[first, earlier] ^ words[second, earlier]) > reached
            yield first[new], second[new], distance[new]


def sharing_pairs(
    hashes: Hashes, word: NDArray[np.uint16], radius: int, threshold: int, rows: range | None = None
) -> Iterator[Block]:
    """Yields all pairs within the threshold whose words differ by at most `radius` bits, each once."""
    order = np.argsort(word, kind="stable")
    value, sorted_hashes = word[order].astype(np.int64), hashes[order]
    n_of_value = np.bincount(value, minlength=N_VALUES)
    ends = np.cumsum(n_of_value)
    starts = ends - n_of_value
    rows = range(len(order)) if rows is None else rows
    own = value[rows.start : rows.stop]
    for mask in masks(radius):
        partner = own ^ mask
        later = np.arange(rows.start + 1, rows.stop + 1)
        begin = np.where(partner > own, starts[partner], ends[partner]) if mask else later
        for first, second, distance in close_pairs(sorted_hashes, begin, ends[partner], threshold, rows.start):
            yield order[first], order[second], distance


def close_pairs(hashes: Hashes, begins: IntArray, ends: IntArray, threshold: int, offset: int = 0) -> Iterator[Block]:
    """Compares row offset + i with the rows from begins[i] to ends[i], in blocks of about CANDIDATES comparisons."""
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
        distance = popcount(np.repeat(hashes[some + offset], n_each) ^ hashes[other])
        near = np.flatnonzero(distance <= threshold)
        first = some[np.searchsorted(upto[cut:after] - done, near, side="right")]
        yield first + offset, other[near], distance[near]
        cut = after


@cache
def masks(radius: int) -> tuple[int, ...]:
    """All 16-bit numbers with at most `radius` bits set."""
    return tuple(mask for mask in range(N_VALUES) if mask.bit_count() <= radius)
