"""Near copies: disguised copies are detected, and independently trained baselines are not."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import builders
import numpy as np
import pytest

from piq_bench.board.near_copies import (
    FEWEST_MISTAKES,
    MISTAKES,
    SAMPLE,
    SIMILARITIES,
    common_mistakes,
    equal_rows,
    near_copies,
    similarity_correlation,
)
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.records import NOT_ANNOTATED, Benchmark, BoolArray, FloatArray, IntArray, PairMatrix, Submission

ENTRIES = Path(__file__).parents[2] / "submissions"
BASELINES = sorted(folder.name for folder in ENTRIES.glob("reference-*"))
ALIKE = ("reference-fss-br", "reference-fss-br-uncertainty")  # the closest: same start, same batches


@cache
def bundled() -> Benchmark:
    return read_benchmark(None)


@cache
def baseline(name: str) -> Submission:
    return read_submission(ENTRIES / name / "submission.npz", bundled(), partial=True)


def changed(submission: Submission, change: Callable[[FloatArray], FloatArray]) -> Submission:
    assert submission.embedding is not None
    return replace(submission, embedding=change(submission.embedding.astype(np.float64)).astype(np.float32))


def answered_anew(submission: Submission, share: float) -> Submission:
    """A share of the answers drawn at random."""
    rng = np.random.default_rng(0)
    predictions: dict[str, IntArray | BoolArray] = {}
    for task in bundled().classification_tasks:
        answers = submission.predictions[task.name]
        drawn = rng.integers(2 if task.multi_label else len(task.labels), size=answers.shape)
        mixed = np.where(rng.random(answers.shape) < share, drawn, answers)
        predictions[task.name] = mixed.astype(bool) if task.multi_label else mixed
    return replace(submission, predictions=predictions)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BASELINES, 2)))
def test_independent_baselines_are_not_near_copies(one: str, other: str) -> None:
    assert near_copies(bundled(), baseline(one), baseline(other), other) == []


def test_the_closest_baselines_are_below_the_thresholds() -> None:
    if not set(ALIKE) <= set(BASELINES):
        pytest.skip("other baselines")
    one, other = map(baseline, ALIKE)
    correlation, share = similarity_correlation(one, other), common_mistakes(bundled(), one, other)
    assert correlation is not None
    assert correlation < SIMILARITIES - 0.0005
    assert share is not None
    assert share < MISTAKES - 0.01


@pytest.mark.parametrize("name", BASELINES)
def test_a_copy_with_noise_is_a_near_copy(name: str) -> None:
    own = baseline(name)
    rng = np.random.default_rng(0)
    noisy = changed(own, lambda values: values + 0.1 * values.std(axis=0) * rng.standard_normal(values.shape))
    warnings = near_copies(bundled(), answered_anew(noisy, 0.02), own, name)
    assert [text.split(":")[0] for text in warnings] == ["embedding", "answers"]
    assert f"the similarities correlate with those of {name} (r = 0.99" in warnings[0]


def test_answers_changed_here_and_there_in_each_task_still_share_their_mistakes() -> None:
    own = baseline(BASELINES[0])
    disguised = answered_anew(own, 0.02)
    assert equal_rows(own, disguised)["answers"] < 0.9
    (warning,) = near_copies(bundled(), replace(disguised, embedding=None), own, "its original")
    assert warning.endswith("of the mistakes are the same as those of its original")


def rotation(n: int) -> FloatArray:
    return np.asarray(np.linalg.qr(np.random.default_rng(1).standard_normal((n, n)))[0])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize(
    "disguise",
    [
        lambda values: values @ rotation(values.shape[1]),
        lambda values: values[:, ::-1],
        lambda values: 1000 * values,
        lambda values: np.pad(values, [(0, 0), (3, 4)]),
    ],
    ids=["rotated", "mirrored", "scaled", "padded"],
)
def test_a_disguise_that_changes_no_ranking_changes_no_correlation(
    disguise: Callable[[FloatArray], FloatArray], distance: Literal["cosine", "euclidean"]
) -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    own = builders.submission(rng, benchmark, rng.standard_normal((benchmark.test_rows.size, 6)).astype(np.float32))
    own = replace(own, distance=distance)
    assert similarity_correlation(own, changed(own, disguise)) == pytest.approx(1.0, abs=1e-6)


def test_euclidean_distances_of_unit_rows_are_their_cosines() -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    own = builders.submission(rng, benchmark, rng.standard_normal((benchmark.test_rows.size, 6)).astype(np.float32))
    unit = changed(own, lambda values: values / np.linalg.norm(values, axis=1, keepdims=True) + 5)
    assert similarity_correlation(own, replace(unit, distance="euclidean")) == pytest.approx(1.0, abs=1e-6)


def test_the_correlation_is_that_of_the_similarities_pair_by_pair() -> None:
    rng = np.random.default_rng(3)
    benchmark = builders.benchmark(rng)
    n = benchmark.test_rows.size
    assert n <= SAMPLE  # all pairs are looked at
    one, other = (builders.submission(rng, benchmark, rng.standard_normal((n, d)).astype(np.float32)) for d in (4, 7))
    other = replace(other, distance="euclidean")
    cosines, distances = [], []
    for i, j in itertools.combinations(range(n), 2):
        assert one.embedding is not None
        assert other.embedding is not None
        a, b = one.embedding[one.order[[i, j]]].astype(float)
        cosines.append(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b))
        a, b = other.embedding[other.order[[i, j]]].astype(float)
        distances.append(-((a - b) ** 2).sum())
    expected = np.corrcoef(cosines, distances)[0, 1]
    assert similarity_correlation(one, other) == pytest.approx(expected, abs=1e-9)


def test_common_mistakes_are_counted_answer_by_answer() -> None:
    benchmark = bundled()
    one, other = baseline(BASELINES[0]), baseline(BASELINES[1])
    n_same, n_wrong = 0, 0
    for task in benchmark.classification_tasks:
        truths = benchmark.labels[task.name][benchmark.test_rows].ravel().tolist()
        answers = (entry.predictions[task.name].ravel().tolist() for entry in (one, other))
        for truth, answer, other_answer in zip(truths, *answers, strict=True):
            if truth != NOT_ANNOTATED and not answer == other_answer == truth:
                n_wrong += 1
                n_same += answer == other_answer
    assert common_mistakes(benchmark, one, other) == n_same / n_wrong


def test_there_is_no_warning_where_there_is_nothing_to_compare() -> None:
    benchmark = bundled()
    own = baseline(BASELINES[0])
    bare = replace(own, embedding=None, predictions={})
    constant = changed(own, np.ones_like)
    assert similarity_correlation(own, bare) is None
    assert similarity_correlation(constant, own) is None
    assert common_mistakes(benchmark, own, bare) is None
    assert near_copies(benchmark, own, bare, "bare") == []
    truth = {task.name: benchmark.labels[task.name][benchmark.test_rows] for task in benchmark.classification_tasks}
    right = replace(own, predictions=truth)
    task = next(task.name for task in benchmark.classification_tasks if not task.multi_label)
    wrong = {**truth, task: truth[task].copy()}
    places = np.flatnonzero(truth[task] != NOT_ANNOTATED)[: FEWEST_MISTAKES - 1]
    wrong[task][places] = (wrong[task][places] + 1) % 2
    assert common_mistakes(benchmark, right, replace(own, predictions=wrong)) is None


def test_equal_rows_are_counted() -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    one, other = (builders.submission(rng, benchmark) for _ in range(2))
    common = one.predictions.keys() & other.predictions.keys()
    same = [
        all(np.array_equal(one.predictions[task][row], other.predictions[task][row]) for task in common)
        for row in range(one.order.size)
    ]
    assert equal_rows(one, other) == {"embedding": 0.0, "answers": sum(same) / len(same)}
    assert equal_rows(one, one) == {"embedding": 1.0, "answers": 1.0}


def as_matrix(submission: Submission, change: Callable[[FloatArray], FloatArray]) -> Submission:
    """The submission with distances of its own embedding, changed, instead of the embedding."""
    assert submission.embedding is not None
    split = bundled().split[bundled().test_rows]
    queries, gallery = np.flatnonzero(split == 1), np.flatnonzero(split == 2)
    values = submission.embedding[submission.order].astype(np.float64)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    place = np.full((2, split.size), -1)
    place[0, queries], place[1, gallery] = np.arange(queries.size), np.arange(gallery.size)
    distances = change(2 - 2 * values[queries] @ values[gallery].T).astype(np.float32)
    return replace(submission, embedding=None, matrix=PairMatrix(distances, True, *place))


@pytest.mark.parametrize("change", [np.sqrt, lambda distances: 0.5 * distances - 1])
def test_a_copy_written_as_its_distances_is_a_near_copy(change: Callable[[FloatArray], FloatArray]) -> None:
    plain = baseline(ALIKE[0])
    assert plain.distance == "cosine"
    copy = as_matrix(plain, change)
    assert (similarity_correlation(copy, plain) or 0.0) > SIMILARITIES
    assert (similarity_correlation(copy, copy) or 0.0) > SIMILARITIES
    assert "similarities correlate" in near_copies(bundled(), copy, plain, "other")[0]
    other = next(name for name in BASELINES if name not in ALIKE and baseline(name).embedding is not None)
    assert (similarity_correlation(copy, baseline(other)) or 0.0) < SIMILARITIES


def test_a_constant_matrix_correlates_with_nothing() -> None:
    plain = baseline(ALIKE[0])
    assert similarity_correlation(as_matrix(plain, np.zeros_like), plain) is None
    assert similarity_correlation(replace(plain, embedding=None), plain) is None
