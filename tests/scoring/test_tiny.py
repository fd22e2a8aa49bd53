"""The benchmark of tests/data/tiny, whose README works out every number by hand."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.scoring.score import score
from piq_bench.write.submission import write_submission

TINY = Path(__file__).parents[1] / "data" / "tiny"


def test_every_number_equals_the_one_worked_out_by_hand(tmp_path: Path) -> None:
    write_submission(
        tmp_path / "entry.npz",
        images=["a0.jpg", "a1.jpg", "a2.jpg", "a3.jpg", "b0.jpg", "b1.jpg", "x1.jpg"],
        embedding=np.array([[0], [1], [4], [0], [10], [3], [-1]], dtype=np.float32),
        predictions={"gender": np.array(["female"] * 5 + ["male"] * 2)},
        meta={"name": "by hand", "benchmark": "tiny", "distance": "euclidean"},
    )
    benchmark = read_benchmark(TINY)
    result = score(benchmark, read_submission(tmp_path / "entry.npz", benchmark))
    assert result.reid is not None and result.reid.without_exclusion is not None
    expected = {"map": Fraction(9, 16), "rank1": Fraction(1, 4), "minp": Fraction(1, 2)}
    for name, value in expected.items():
        assert result.reid.values[f"macro_{name}"] == pytest.approx(float(value), rel=1e-15)
        assert result.reid.values[name] == pytest.approx(float(value), rel=1e-15)
    assert result.reid.without_exclusion["macro_map"] == pytest.approx(59 / 90, rel=1e-15)
    assert result.reid.without_exclusion["macro_rank1"] == 1 / 2
    assert result.f1["gender"] == pytest.approx(7 / 9, rel=1e-15)
    assert result.aspects == {"reid": pytest.approx(13 / 32), "appearance": pytest.approx(7 / 9)}
    assert result.piq == pytest.approx(341 / 576, rel=1e-15)
