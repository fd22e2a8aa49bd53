"""Lists all pairs of images within a threshold: the near-duplicates in mode "neighbours", where links do not chain."""

import numpy as np

from piq_bench.errors import LimitExceeded, Problem
from piq_bench.group.nodes import FindPairs, Nodes, near_nodes
from piq_bench.group.pairs import near_pairs
from piq_bench.records import IntArray

MOST_PAIRS = 1 << 24  # 256 MiB of rows
BLOCK = 1 << 20  # pairs of images expanded at once


def neighbour_pairs(
    nodes: Nodes, threshold: int, find_pairs: FindPairs = near_pairs, *, most_pairs: int = MOST_PAIRS
) -> IntArray:
    """Pairs of image rows, shape (n_pairs, 2), first < second, ascending.

    Raises:
        LimitExceeded: if there are more than `most_pairs`, as when thousands of images are alike.
    """
    n_nodes = nodes.n_nodes
    size = nodes.size
    images = np.argsort(nodes.of_image, kind="stable")
    starts = np.cumsum(size) - size
    n_pairs = 0
    found = []
    several = np.flatnonzero(size > 1)  # nodes of several images, which are pairs among themselves
    for first, second in [
        (several, several),
        *((one, other) for one, other, _ in near_nodes(nodes, threshold, find_pairs)),
    ]:
        n_pairs += int((size[first] * size[second]).sum())
        if n_pairs > 2 * most_pairs:
            raise too_many(most_pairs)
        found.append(first * n_nodes + second)
    keys = np.concatenate(found)
    first, second = np.divmod(keys, n_nodes)
    counts = size[first] * size[second]
    upto = np.cumsum(counts)
    blocks = []
    cut = 0
    while cut < len(keys):
        done = upto[cut - 1] if cut else 0
        after = max(cut + 1, int(np.searchsorted(upto, done + BLOCK, side="right")))
        n_each = counts[cut:after]
        place = np.arange(int(n_each.sum())) - np.repeat(upto[cut:after] - n_each - done, n_each)
        one, other = np.repeat(first[cut:after], n_each), np.repeat(second[cut:after], n_each)
        rows = np.stack(
            [images[starts[one] + place // size[other]], images[starts[other] + place % size[other]]], axis=1
        )
        kept = (one != other) | (rows[:, 0] < rows[:, 1])  # a node paired with itself gives each pair of images twice
        blocks.append(np.sort(rows[kept], axis=1))
        cut = after
    pairs = np.concatenate(blocks) if blocks else np.empty((0, 2), dtype=np.int64)
    if len(pairs) > most_pairs:
        raise too_many(most_pairs)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].astype(np.int64)


def too_many(most_pairs: int) -> LimitExceeded:
    """The refusal of more pairs than memory should hold."""
    problem = Problem(
        "too-many-pairs",
        "groups",
        f"more than {most_pairs} pairs of images are near-duplicates",
        'lower the threshold, or use mode "components", which needs no list of pairs',
    )
    return LimitExceeded("near-duplicate pairs", [problem])
