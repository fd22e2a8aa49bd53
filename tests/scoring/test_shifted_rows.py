"""Rows that are out of step are noticed, in either direction and for any task; good and random rows are not."""

from dataclasses import replace

import builders
import numpy as np
import pytest

from piq_bench.records import Benchmark, Submission
from piq_bench.scoring.drilldown import drill_down
from piq_bench.scoring.score import score
from piq_bench.scoring.shifted_rows import Shift


def answers(seed: int, rows: int, *, noise: float) -> tuple[Benchmark, Submission]:
    """Right answers with noise, written `rows` further down than their ids, in a shuffled file."""
    rng = np.random.default_rng(seed)
    size = builders.Size(n_query=60, n_gallery=140, n_identities=20)
    benchmark = builders.benchmark(rng, size, mode=None, unlabelled_queries=False)
    own = benchmark.test_rows
    centres = rng.standard_normal((len(benchmark.identities) + 1, 16))
    embedding = (centres[benchmark.identity[own]] + noise * rng.standard_normal((own.size, 16))).astype(np.float32)
    gender = np.where(rng.random(own.size) < noise, rng.integers(0, 2, own.size), benchmark.labels["gender"][own] % 2)
    order = rng.permutation(own.size)
    back = np.argsort(order)  # the test row of each row of the file
    stored = np.roll(embedding[back], rows, axis=0)
    submission = builders.submission(rng, benchmark, stored)
    predictions = {"gender": np.roll(gender[back], rows)[order]}
    return benchmark, replace(submission, order=order, predictions=predictions)


def shifts(benchmark: Benchmark, submission: Submission) -> tuple[Shift, ...]:
    return drill_down(benchmark, submission, score(benchmark, submission, n_resamples=20)).shifts


@pytest.mark.parametrize("rows", [1, -1])
def test_shifted_rows_are_noticed_with_their_direction(rows: int) -> None:
    benchmark, submission = answers(1, rows, noise=0.05)
    found = shifts(benchmark, submission)
    assert [(one.task, one.rows, one.metric) for one in found] == [("reid", rows, "mAP"), ("gender", rows, "F1")]
    assert all(one.after > 0.9 > one.before + 0.2 for one in found)
    by_distance = replace(submission, distance="euclidean")
    assert [one.task for one in shifts(benchmark, by_distance)] == ["reid", "gender"]


@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_good_and_random_answers_do_not_look_shifted(noise: float) -> None:
    assert shifts(*answers(2, 0, noise=noise)) == ()
    rng = np.random.default_rng(3)
    benchmark, submission = answers(3, 0, noise=1.0)
    random = rng.standard_normal((benchmark.test_rows.size, 8)).astype(np.float32)
    assert shifts(benchmark, replace(submission, embedding=random)) == ()


def test_only_the_full_level_asks() -> None:
    benchmark, submission = answers(1, 1, noise=0.05)
    result = score(benchmark, submission, n_resamples=20)
    assert drill_down(benchmark, submission, result, disclosure="public").shifts == ()
