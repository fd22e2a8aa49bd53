"""Random swaps are the bits of a documented generator: one per cluster, so that p-values never change."""

import numpy as np
import pytest

from piq_bench.scoring.bootstrap import Clusters
from piq_bench.scoring.swaps import SWAP_STREAM, over_swaps


@pytest.mark.parametrize("n_clusters", [1, 63, 64, 65, 130])
def test_swaps_are_the_lowest_bits_of_as_many_words_as_clusters_need(n_clusters: int) -> None:
    clusters = Clusters(np.zeros(0, dtype=np.int64), np.arange(n_clusters), 0)
    source = np.random.PCG64(np.random.SeedSequence([7, SWAP_STREAM]))
    expected = []
    for _ in range(5):
        bits = 0
        for word in range((n_clusters + 63) // 64):
            bits |= int(source.random_raw()) << (64 * word)
        expected.append([bool(bits >> place & 1) for place in range(n_clusters)])
    assert np.concatenate(over_swaps(np.copy, clusters, 5, 7)).tolist() == expected
