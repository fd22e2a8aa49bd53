import numpy as np
import pytest

from piq_bench.records import FloatArray
from piq_bench.report import selftest
from piq_bench.retrieve.similarity import Similarity


def test_this_installation_gives_the_official_digits() -> None:
    checks = selftest.run_selftest()
    assert [check.name for check in checks] == list(selftest.SUBMISSIONS)
    for check in checks:
        assert check.passed, f"{check.name}: {check.digest} is not {check.official}"


def test_the_near_tied_submission_needs_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """With sums in another order than the definition's, only the submissions without near ties keep their digits."""

    def backwards(self: Similarity, one: FloatArray, other: FloatArray, out: FloatArray | None = None) -> FloatArray:
        table = np.empty((len(one), len(other))) if out is None else out
        table[:] = 0.0
        for index in reversed(range(one.shape[1])):
            table += one[:, index, None] * other[:, index]
        return table

    monkeypatch.setattr(Similarity, "fast_table", backwards)
    monkeypatch.setattr(Similarity, "error_bound", lambda self, queries, gallery: np.zeros(queries.size))
    checks = {check.name: check for check in selftest.run_selftest()}
    assert checks["random"].passed
    assert not checks["near-tied"].passed
