"""Lists all pairs of images within a threshold: the near-duplicates in mode "neighbours", where links do not chain."""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from piq_bench.errors import LimitExceeded, Problem
from piq_bench.group.nodes import Nodes, near_nodes
from piq_bench.records import IntArray

MOST_PAIRS = 1 << 24  # 256 MiB of rows
BLOCK = 1 << 20  # pairs of images expanded at once


def neighbour_pairs(
    nodes: Nodes, threshold: int, *, rows: IntArray | None = None, most_pairs: int = MOST_PAIRS
) -> IntArray:
    """Pairs of image rows, shape (n_pairs, 2), first < second, ascending.

    While they are sorted, a pair takes 8 bytes beside the 16 of the result.

    Args:
        nodes: the nodes.
        threshold: greatest distance in bits.
        rows: shape (n_images,), ascending; the row of each image in a larger table, None if there is none.
        most_pairs: more pairs are refused.

    Raises:
        LimitExceeded: if there are more than `most_pairs`, as when thousands of images are alike.
    """
    n_images = len(nodes.of_image)
    images = np.argsort(nodes.of_image, kind="stable")
    several = np.flatnonzero(nodes.size > 1)  # nodes of several images, which are pairs among themselves
    found: list[IntArray] = []
    n_pairs = 0
    for first, second in chain([(several, several)], ((one, other) for one, other, _ in near_nodes(nodes, threshold))):
        for lower, higher in _image_pairs(nodes, images, first, second):
            found.append(lower * n_images + higher)
            n_pairs += lower.size
            if n_pairs > most_pairs:
                raise too_many(most_pairs)
    keys = np.concatenate([np.empty(0, dtype=np.int64), *found])
    found.clear()
    keys.sort()
    pairs = np.empty((n_pairs, 2), dtype=np.int64)
    for top in range(0, n_pairs, BLOCK):
        part = slice(top, top + BLOCK)
        lower, higher = np.divmod(keys[part], n_images)
        pairs[part, 0], pairs[part, 1] = (lower, higher) if rows is None else (rows[lower], rows[higher])
    return pairs


def _image_pairs(
    nodes: Nodes, images: IntArray, first: IntArray, second: IntArray
) -> Iterator[tuple[IntArray, IntArray]]:
    """Yields the pairs of images of each pair of nodes, the lower row first, in blocks of at most BLOCK pairs.

    Args:
        nodes: the nodes.
        images: shape (n_images,); rows of images, in the order of their nodes.
        first: shape (n_pairs,); a node of each pair.
        second: shape (n_pairs,); the other node.
    """
    size = nodes.size
    starts = np.cumsum(size) - size
    counts = size[first] * size[second]
    upto = np.cumsum(counts)
    for done in range(0, int(counts.sum()), BLOCK):
        place = np.arange(done, min(done + BLOCK, int(upto[-1])))
        pair = np.searchsorted(upto, place, side="right")
        one, other = first[pair], second[pair]
        place -= (upto - counts)[pair]
        rows, others = images[starts[one] + place // size[other]], images[starts[other] + place % size[other]]
        kept = (one != other) | (rows < others)  # a node paired with itself gives each pair of images twice
        rows, others = rows[kept], others[kept]
        yield np.minimum(rows, others), np.maximum(rows, others)


def too_many(most_pairs: int) -> LimitExceeded:
    """The refusal of more pairs than memory should hold."""
    problem = Problem(
        "too-many-pairs",
        "groups",
        f"more than {most_pairs} pairs of images are near-duplicates",
        'lower the threshold, or use mode "components", which needs no list of pairs',
    )
    return LimitExceeded("near-duplicate pairs", [problem])
