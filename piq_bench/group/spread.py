"""Hashes images and finds near-duplicate pairs on the workers of a Dask cluster; both give what one machine gives.

Pairs are sharded by the blocks of the pigeonhole search (see `group.pairs`): a part is one word of the hashes and a
range of the hashes in that word's order, and every pair belongs to the part of its first hash under the first word that
proposes it. Each worker holds all hashes, 8 bytes each.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from piq_bench.cluster.connect import Client, refuse_unseen
from piq_bench.cluster.tasks import results
from piq_bench.group.cache import Hashed
from piq_bench.group.hashes import PHASH
from piq_bench.group.hashing import Failure, hash_chunk
from piq_bench.group.pairs import (
    FEW,
    N_VALUES,
    Block,
    Hashes,
    all_pairs,
    indexed_pairs,
    is_crowded,
    joined,
    masks,
    near_pairs,
    plan,
)

CHUNK = 512  # images that a worker gets at a time: a third of a second of work
COMPARISONS = 1 << 27  # pairs compared in a part: a second or two of work, and no more pairs than memory holds
WORTH_SENDING = 1 << 16  # fewer hashes are compared sooner than workers have them
PACKAGES = {PHASH: ("pillow",)}
PACKAGES_OF_OTHERS = ("pillow", "imagehash", "PyWavelets")


def packages_of(hash_name: str) -> tuple[str, ...]:
    """Packages whose versions decide the bits of a hash."""
    return PACKAGES.get(hash_name, PACKAGES_OF_OTHERS)


@dataclass(frozen=True)
class HashWork:
    """How to hash images; fields are the arguments of `hash_chunk`."""

    root: Path
    hash_name: str
    limit_pixels: int
    follow_links: bool


def hashed_chunks(
    client: Client,
    images: Sequence[str],
    root: Path,
    hash_name: str,
    limit_pixels: int,
    follow_links: bool,
) -> Iterator[list[Hashed | Failure]]:
    """Yields chunks of results in the order in which they are finished.

    Raises:
        BadUsage: if a worker does not see the folder.
        LimitExceeded: if the workers or their scheduler are lost for good.
    """
    root = root.resolve()
    refuse_unseen(client, [str(root)], is_there=os.path.isdir)
    work = HashWork(root, hash_name, limit_pixels, follow_links)
    chunks = [list(images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)]
    for _, chunk in results(client, _hash, work, chunks):
        yield chunk


def _hash(work: HashWork, images: list[str]) -> list[Hashed | Failure]:
    return hash_chunk(images, work.root, work.hash_name, work.limit_pixels, work.follow_links)


@dataclass(frozen=True)
class PairPart:
    """A part of the search: places `first` to `last` - 1 in the order of search `number`; None compares with all."""

    number: int | None
    first: int
    last: int


def near_pairs_on(
    client: Client, hashes: Hashes, threshold: int, *, worth: int = WORTH_SENDING, comparisons: int = COMPARISONS
) -> Iterator[Block]:
    """Yields what `group.pairs.near_pairs` yields, in another order; few hashes are compared here."""
    if len(hashes) < worth:
        yield from near_pairs(hashes, threshold)
        return
    parts = list(pair_parts(hashes, threshold, comparisons))
    for _, block in results(client, partial(_pairs, threshold), hashes, parts):
        if len(block[0]):
            yield block


def pair_parts(hashes: Hashes, threshold: int, comparisons: int = COMPARISONS) -> Iterator[PairPart]:
    """Splits the search into parts of about so many comparisons, which together find every pair once."""
    if len(hashes) <= FEW or is_crowded(hashes, threshold):
        n_later = np.arange(len(hashes), dtype=np.int64)[::-1]
        yield from (PairPart(None, first, last) for first, last in _cuts(n_later, comparisons))
        return
    words, searches = plan(hashes, threshold)
    for number, (word, radius) in enumerate(searches):
        value = np.sort(words[:, word]).astype(np.int64)
        n_of_value = np.bincount(value, minlength=N_VALUES)
        proposed = sum(n_of_value[np.arange(N_VALUES) ^ mask] for mask in masks(radius))
        yield from (PairPart(number, first, last) for first, last in _cuts(proposed[value], comparisons))


def _cuts(amounts: np.ndarray[tuple[int], np.dtype[np.int64]], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows whose amounts sum up to about `most`, at least one row each."""
    upto = np.cumsum(amounts)
    first = 0
    while first < len(upto):
        done = int(upto[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(upto, done + most, side="right")))
        yield first, last
        first = last


def _pairs(threshold: int, hashes: Hashes, part: PairPart) -> Block:
    """All pairs of one part."""
    rows = range(part.first, part.last)
    if part.number is None:
        blocks = list(all_pairs(hashes, threshold, rows))
    else:
        blocks = list(indexed_pairs(hashes, threshold, part.number, rows))
    none = np.zeros(0, dtype=np.int64)
    return joined([(none, none, np.zeros(0, dtype=np.uint8)), *blocks])
