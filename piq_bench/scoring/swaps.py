"""Draws the random swaps of the randomisation test: for which clusters two submissions swap their answers."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from piq_bench.records import BoolArray
from piq_bench.scoring.bootstrap import Advance, Clusters, on_all_cores

BLOCK_VALUES = 1 << 23  # clusters times swaps at a time
SWAP_STREAM = 2  # random stream of the swaps; the bootstrap uses 0 and 1
T = TypeVar("T")


def over_swaps(
    estimate: Callable[[BoolArray], T],
    clusters: Clusters,
    n_swaps: int,
    seed: int,
    *,
    advance: Advance = lambda steps: None,
) -> list[T]:
    """Estimate from all random swaps, a block of them per core at a time.

    Args:
        estimate: takes, shape (some swaps, n_clusters), whether the two submissions swap their answers for a cluster.
        clusters: the clusters to swap.
        n_swaps: total number of swaps.
        seed: seed of the swaps.
        advance: called with the number of swaps finished since the last call.

    Returns:
        What `estimate` returned for each block, in the order of the swaps.
    """
    n_words = -(-clusters.total // 64)
    step = max(1, BLOCK_VALUES // max(1, clusters.total))

    def work(draws: range) -> T:
        source = np.random.PCG64(np.random.SeedSequence([seed, SWAP_STREAM]))
        source.advance(draws.start * n_words)
        words = np.asarray(source.random_raw(len(draws) * n_words)).astype("<u8").reshape(len(draws), n_words)
        bits = np.unpackbits(words.view(np.uint8), axis=1, count=clusters.total, bitorder="little")
        return estimate(bits.view(np.bool_))

    return on_all_cores(work, n_swaps, step, advance)
