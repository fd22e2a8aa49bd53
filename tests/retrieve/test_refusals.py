"""What no engine may be given is refused before it counts, and a machine without a matrix unit works without it."""

from dataclasses import replace

import builders
import numpy as np
import pytest

from piq_bench.retrieve import amx, products
from piq_bench.retrieve.engines import choose
from piq_bench.retrieve.products import Blas, Tiles
from piq_bench.retrieve.ragged import sort_lists
from piq_bench.retrieve.similarity import Similarity


def test_an_engine_of_another_name_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="'cuda' is not one of auto, "):
        choose("cuda", 1)


def test_embeddings_that_were_never_checked_have_no_similarity() -> None:
    rng = np.random.default_rng(0)
    checked = builders.submission(rng, builders.benchmark(rng))
    with pytest.raises(ValueError, match="has no embedding"):
        Similarity.of(replace(checked, embedding=None))
    assert checked.embedding is not None
    for value, distance in ((np.inf, "cosine"), (np.nan, "euclidean"), (0.0, "cosine")):
        wild = checked.embedding.copy()
        wild[3] = value
        with pytest.raises(ValueError, match="was not checked"):
            Similarity.of(replace(checked, embedding=wild, distance=distance))  # type: ignore[arg-type]


def test_nan_has_no_rank() -> None:
    values = np.array([3.0, 1.0, 2.0, 0.5])
    sort_lists(values, np.array([0, 3, 4]))
    assert values.tolist() == [1.0, 2.0, 3.0, 0.5]
    with pytest.raises(ValueError, match="is NaN"):
        sort_lists(np.array([3.0, np.nan]), np.array([0, 1, 2]))


def test_a_machine_without_a_matrix_unit_multiplies_with_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx, "is_available", lambda: False)
    assert isinstance(products.fastest(10**12, is_cosine=True, dimension=64), Blas)
    with pytest.raises(RuntimeError, match="may not use a matrix unit"):
        Tiles(is_cosine=True, dimension=64)


def test_the_trial_measures_a_real_product(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    class Watched(Blas):
        def multiply(self, queries, first, n_rows, images, n_images, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            shapes.append((n_rows, n_images, bool(np.isfinite(queries[:n_rows]).all())))
            return super().multiply(queries, first, n_rows, images, n_images, out)

    monkeypatch.setattr(products, "TRIAL", (6, 9))
    assert products._seconds(Watched(is_cosine=False, dimension=4)) > 0
    assert shapes == [(6, 9, True)] * products.TRIALS
