"""Errors below the guard cost no second pass, and bounds of float64 sums are those that the theorem gives."""

from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest
from retrieve.test_cpu import Job, clustered, similarity_of

from piq_bench.retrieve import cpu

U = Fraction(1, 2**53)


@pytest.mark.parametrize(("guarded", "guard", "n_passes"), [(True, None, 1), (False, None, 1), (True, 0.0, 2)])
def test_a_job_is_counted_twice_only_if_an_error_exceeds_the_guard(
    guarded: bool, guard: float | None, n_passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(similarity_of(clustered(np.random.default_rng(1), 150, 64), "cosine"), 20, 9)
    made = []
    points_of = cpu._points

    def watched(*given: Any) -> Any:  # noqa: ANN401
        made.append(given)
        return points_of(*given)

    monkeypatch.setattr(cpu, "_points", watched)
    if guard is not None:
        monkeypatch.setattr(cpu, "GUARD", guard)
    cpu.count_ranks(*job.given, guarded=guarded, threads=1)
    assert len(made) == n_passes


@pytest.mark.parametrize("dimension", [1, 64, 4096])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_the_bound_of_float64_sums_is_that_of_both_sums_and_not_twice_as_much(
    distance: Literal["cosine", "euclidean"], dimension: int
) -> None:
    similarity = similarity_of(clustered(np.random.default_rng(2), 30, dimension), distance)
    queries, gallery = np.arange(5), np.arange(5, 30)
    found = similarity.error_bound(queries, gallery)
    n = dimension * U
    for query, bound in zip(queries, found.tolist(), strict=True):
        if distance == "cosine":
            proven = 2 * n / (1 - n)
        else:
            largest = max(Fraction(float(similarity.norm[row])) ** 2 for row in gallery)
            both = Fraction(float(similarity.norm[query])) ** 2 + largest
            proven = (2 * n + 4 * U + 2 * (dimension + 2) * U) * both
        assert proven < bound < 2 * proven + 40 * U * (1 if distance == "cosine" else both)


def test_the_share_of_work_done_rises_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(similarity_of(clustered(np.random.default_rng(1), 150, 64), "cosine"), 20, 9)
    shares: list[float] = []
    monkeypatch.setattr(cpu._Progress, "reach", lambda progress, share: shares.append(share))
    cpu.count_ranks(*job.given, query_block=5, gallery_block=40, threads=1)
    assert len(shares) > 4 and shares == sorted(shares) and shares[-1] == 1
    assert len(set(shares)) == len(shares)
