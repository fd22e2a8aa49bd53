"""Re-ranked distances equal those of a slow implementation that follows the public one line by line."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rerank_oracle import plain_distances, plain_rerank

from piq_bench.convert import rerank as module
from piq_bench.convert.rerank import Parameters, rerank


def people(rng: np.random.Generator, n_images: int, n_people: int, dimension: int = 6) -> np.ndarray:
    """Features of some people: clusters, so that neighbourhoods are not random."""
    centre = rng.standard_normal((n_people, dimension))
    return (centre[rng.integers(0, n_people, n_images)] + 0.4 * rng.standard_normal((n_images, dimension))).astype("f4")


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    ("k1", "k2", "weight"),
    [(20, 6, 0.3), (5, 1, 0.0), (3, 3, 0.1), (7, 2, 0.3), (5, 2, 1.0), (9, 12, 0.5), (200, 90, 0.3)],
)
def test_it_equals_the_plain_implementation(
    distance: Literal["cosine", "euclidean"], k1: int, k2: int, weight: float
) -> None:
    features = people(np.random.default_rng(k1), 80, 7)
    expected = plain_rerank(plain_distances(features, distance), 15, k1, k2, weight)
    found = rerank(features, 15, distance=distance, parameters=Parameters(k1, k2, weight))
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


@given(st.integers(0, 2**32), st.integers(2, 30), st.integers(1, 12), st.integers(1, 8))
def test_tied_distances_are_ranked_by_the_order_of_the_images(seed: int, n_images: int, k1: int, k2: int) -> None:
    features = np.random.default_rng(seed).integers(0, 3, (n_images, 2)).astype(np.float32)  # whole numbers: real ties
    n_query = n_images // 2
    expected = plain_rerank(plain_distances(features, "euclidean"), n_query, k1, k2, 0.3)
    found = rerank(features, n_query, distance="euclidean", parameters=Parameters(k1, k2))
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    features = people(np.random.default_rng(1), 60, 5)
    whole = rerank(features, 20, distance="cosine")
    done: list[int] = []
    monkeypatch.setattr(module, "BLOCK_VALUES", 7 * 60)
    assert rerank(features, 20, distance="cosine", advance=done.append).tobytes() == whole.tobytes()
    assert done == [7] * 8 + [4]


def test_equal_images_all_have_the_same_distances() -> None:
    found = rerank(np.ones((40, 3), np.float16), 10, distance="cosine", parameters=Parameters(k1=5, k2=2))
    assert np.isfinite(found).all()


def test_it_brings_people_together() -> None:
    rng = np.random.default_rng(0)
    centre = np.repeat(rng.standard_normal((10, 16)), 12, axis=0)
    features = (centre + 0.9 * rng.standard_normal(centre.shape)).astype(np.float32)
    order = np.argsort(np.arange(120) % 12, kind="stable")  # one query of each of the ten, then the gallery
    features, person = features[order], (np.arange(120) // 12)[order]
    before = plain_distances(features, "cosine")[:10, 10:]
    after = rerank(features, 10, distance="cosine", parameters=Parameters(k1=10, k2=4))

    def precision(distances: np.ndarray) -> float:
        nearest = np.argsort(distances, axis=1)[:, :11]
        return float((person[10:][nearest] == person[:10, None]).mean())

    assert precision(after) > precision(before)
