"""The p-values of all pairs of a board are those that `compare` gives, and those of swaps one by one."""

import board_builders
import numpy as np
import pytest

from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark
from piq_bench.scoring.bootstrap import clusters_of
from piq_bench.scoring.compare import Tallied, compare, tallied
from piq_bench.scoring.piq_pairs import piq_p_values
from piq_bench.scoring.swaps import over_swaps

N_SWAPS = 60


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Benchmark, list[Tallied]]:
    root = tmp_path_factory.mktemp("pairs")
    benchmark = board_builders.dataset(root / "tiny")
    found = []
    for seed, noise in enumerate((0.8, 0.9, 1.1, 2.5)):
        entry = board_builders.entry(root / f"entry-{seed}", benchmark, noise=noise, seed=seed)
        found.append(tallied(benchmark, read_submission(entry / "submission.npz", benchmark)))
    return benchmark, found


def test_they_are_those_of_compare(counted: tuple[Benchmark, list[Tallied]]) -> None:
    benchmark, systems = counted
    found = piq_p_values(benchmark, systems, n_swaps=N_SWAPS, seed=3)
    compared = compare(benchmark, systems, n_resamples=1, n_swaps=N_SWAPS, seed=3)
    expected = {(one.first, one.second): d.p for one in compared.pairs for d in one.differences if d.metric == "piq"}
    assert found == expected
    assert len(set(found.values())) > 2
    assert piq_p_values(benchmark, systems[:1], n_swaps=N_SWAPS) == {}


def test_they_are_those_of_swaps_one_by_one(counted: tuple[Benchmark, list[Tallied]]) -> None:
    benchmark, systems = counted
    clusters = clusters_of(benchmark)

    def piq(one: Tallied, other: Tallied, swapped: list[bool]) -> float:
        """PIQ of one submission after it has taken the other's answers for the swapped clusters."""
        assert one.reid is not None
        assert other.reid is not None
        people = [place for place, n in enumerate(one.reid.n_queries.tolist()) if n]
        means = []
        for name in ("rank1", "map"):
            parts = [(other if swapped[p] else one).reid.total[name][p] / one.reid.n_queries[p] for p in people]  # type: ignore[union-attr]
            means.append(sum(parts) / len(people))
        scores = []
        for label in range(2):
            hits, predicted, true = (
                sum(
                    getattr((other if flag else one).labels["gender"], part)[place][label]
                    for place, flag in enumerate(swapped)
                )
                for part in ("hits", "predicted", "true")
            )
            scores.append(2 * hits / (predicted + true))
        return float((sum(means) / 2 + sum(scores) / 2) / 2)

    blocks = np.concatenate(over_swaps(np.copy, clusters, N_SWAPS, 0)).tolist()
    for (first, second), found in piq_p_values(benchmark, systems, n_swaps=N_SWAPS).items():
        a, b = systems[first], systems[second]
        none = [False] * clusters.total
        observed = abs(piq(b, a, none) - piq(a, b, none))
        n_as_large = sum(abs(piq(b, a, row) - piq(a, b, row)) >= observed - 1e-12 for row in blocks)
        assert found == (1 + n_as_large) / (1 + N_SWAPS)
