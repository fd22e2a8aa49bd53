"""What PIQ would be if re-identification, or one of its two metrics, were perfect."""

import builders
import numpy as np
import pytest

from piq_bench.scoring.improvements import improvements_of
from piq_bench.scoring.score import score


def test_perfect_re_identification_gains_its_share_of_what_is_missing() -> None:
    rng = np.random.default_rng(3)
    benchmark = builders.benchmark(rng)
    result = score(benchmark, builders.submission(rng, benchmark), n_resamples=0)
    assert result.reid is not None and result.piq is not None
    found = {one.cause: one for one in improvements_of(benchmark, result, parts=False, confusions=False)}
    rank1, mean_ap = (result.reid.values[name] for name in ("macro_rank1", "macro_map"))
    assert rank1 is not None and mean_ap is not None and 0 < rank1 < 1
    share = 1 / len(result.aspects)
    gains = {"reid, macro Rank-1": share * (1 - rank1) / 2, "reid, macro mAP": share * (1 - mean_ap) / 2}
    gains["reid"] = sum(gains.values())
    for cause, gain in gains.items():
        assert found[cause].gain == pytest.approx(gain, abs=1e-12)
        assert found[cause].piq == pytest.approx(result.piq + gain, abs=1e-12)
