"""Counts of all tasks, weighted by one product or in pieces, against sums in plain Python."""

import numpy as np
import pytest

from piq_bench.metrics.labels import macro_f1
from piq_bench.scoring import tally
from piq_bench.scoring.tally import LabelCounts, LabelTally


@pytest.mark.parametrize("scale", [1, 1 << 22])  # the larger counts do not fit into float32
@pytest.mark.parametrize("most_bytes", [0, 1 << 28])
def test_weighted_counts_are_exact(scale: int, most_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(scale)
    monkeypatch.setattr(tally, "MOST_BYTES", most_bytes)
    monkeypatch.setattr(tally, "BLOCK_CLUSTERS", 7)
    weights = rng.integers(0, 5, (3, 20))
    counts = {
        name: [rng.integers(0, 9, (20, n_labels)) * scale + rng.integers(0, 2, (20, n_labels)) for _ in range(3)]
        for name, n_labels in (("gender", 2), ("age", 4))
    }
    given = {name: LabelTally(*(part.astype(np.float64) for part in parts)) for name, parts in counts.items()}
    found = LabelCounts(given).f1(weights.astype(np.float64))
    for name, parts in counts.items():
        sums = [
            np.array(
                [
                    [sum(int(w) * int(c) for w, c in zip(row, column, strict=True)) for column in part.T]
                    for row in weights
                ],
                dtype=np.float64,
            )
            for part in parts
        ]
        assert found[name].tolist() == macro_f1(*sums).tolist()


def test_no_task_has_no_score() -> None:
    assert LabelCounts({}).f1(np.ones((2, 5))) == {}
