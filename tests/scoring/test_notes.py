"""A score with re-identification says what about the data casts doubt on it; one without does not."""

from dataclasses import replace

import builders
import numpy as np

from piq_bench.scoring.score import score

DOUBTS = ("no exclusion rule uses the column 'camera'", "look like missing values", "differ in spelling alone")


def test_doubts_about_the_data_stand_beside_re_identification_alone() -> None:
    rng = np.random.default_rng(3)
    benchmark = replace(builders.benchmark(rng), identities=("NaN", "7", "007", "p3", "p4"), persons=())
    submission = builders.submission(rng, benchmark)

    def doubts(**changes: bool) -> list[str]:
        notes = score(replace(benchmark, **changes), submission, n_resamples=0).notes  # type: ignore[arg-type]
        return [doubt for doubt in DOUBTS if any(doubt in note for note in notes)]

    assert doubts() == [*DOUBTS]
    assert doubts(rules_declared=True) == [*DOUBTS[1:]]
    labels_alone = score(benchmark, replace(submission, embedding=None), n_resamples=0)
    assert not any(doubt in note for doubt in DOUBTS for note in labels_alone.notes)
