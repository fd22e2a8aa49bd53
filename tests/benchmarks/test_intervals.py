"""The simulation of intervals, in a short form: coverage near 95% for few people, and no contradiction in `compare`."""

import numpy as np
from benchmarks.intervals import METRICS, coverage, drawn, false_alarms


def test_intervals_hold_the_true_scores_of_eight_people_as_often_as_they_say() -> None:
    shares = np.array(list(coverage(8, 60).values()))
    ours, percentile = shares.mean(axis=0)
    assert (shares[:, 0] >= 0.88).all()
    assert 0.93 <= ours <= 0.98
    assert percentile < 0.92  # which is why ours are expanded


def test_equal_submissions_differ_in_about_one_of_twenty_data_sets_by_interval_and_by_p() -> None:
    shares = false_alarms(20, 20)
    assert list(shares) == list(METRICS)
    assert 0.0 < np.mean(list(shares.values())) <= 0.12


def test_submissions_to_one_data_set_differ_in_their_errors_alone() -> None:
    (one, first), (other, second) = (next(each) for each in [drawn(np.random.default_rng(1), 5)] * 2)
    assert one is other
    assert first.embedding is not None
    assert second.embedding is not None
    assert not (first.embedding == second.embedding).all()
