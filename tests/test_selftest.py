import numpy as np
import pytest

from piq_bench import selftest


def test_this_installation_gives_the_official_digits() -> None:
    checks = selftest.run_selftest()
    assert [check.name for check in checks] == list(selftest.SUBMISSIONS)
    for check in checks:
        assert check.passed, f"{check.name}: {check.digest} is not {check.official}"


def test_a_wrong_digit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Similarities in another order of summation give another digest for the near-tied submission."""

    def backwards(values: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(np.take(np.add.accumulate(np.flip(values, axis), axis=axis), -1, axis=axis))

    monkeypatch.setattr("piq_bench.retrieve.similarity.ordered_sum", backwards)
    checks = {check.name: check for check in selftest.run_selftest()}
    assert not checks["near-tied"].passed
    assert checks["constant"].passed
