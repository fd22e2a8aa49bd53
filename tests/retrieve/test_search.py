"""What a search by products returns: as many images as asked for, the largest products first."""

import numpy as np
import pytest

from piq_bench.retrieve.neighbours import _search_numpy


@pytest.mark.parametrize("n_asked", [1, 7, 40])
def test_the_largest_products_come_first_with_their_images(n_asked: int) -> None:
    rng = np.random.default_rng(n_asked)
    queries, gallery = (rng.standard_normal((n, 8)).astype(np.float32) for n in (5, 40))
    values, images = _search_numpy(queries, gallery, n_asked)
    products = queries @ gallery.T
    for query in range(5):
        expected = sorted(range(40), key=lambda image: -products[query, image])[:n_asked]
        assert images[query].tolist() == expected
        assert values[query].tolist() == products[query, expected].tolist()
