"""Thresholds, pairs of labels and wrong answers, checked against plain loops."""

from dataclasses import replace
from itertools import pairwise

import builders
import numpy as np
import pytest

from piq_bench.records import NOT_ANNOTATED, Benchmark, Submission
from piq_bench.scoring.label_faults import (
    N_MISTAKES,
    PER_KIND,
    label_curves,
    label_pairs,
    worst_mistakes,
)

pytest.importorskip("sklearn")


def made(seed: int, *, with_scores: bool) -> tuple[Benchmark, Submission]:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, builders.Size(n_query=20, n_gallery=60, n_identities=6))
    submission = builders.submission(rng, benchmark)
    if not with_scores:
        return benchmark, submission
    scores = {"mood": (rng.integers(0, 9, (benchmark.test_rows.size, 3)) / 8).astype(np.float32)}
    scores["age"] = rng.standard_normal((benchmark.test_rows.size, 3)).astype(np.float32)
    predictions = {**submission.predictions, "mood": scores["mood"] >= 0.5, "age": scores["age"].argmax(axis=1)}
    return benchmark, replace(submission, predictions=predictions, scores=scores)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_threshold_is_the_best_of_all(seed: int) -> None:
    benchmark, submission = made(seed, with_scores=True)
    truth = benchmark.labels["mood"][benchmark.test_rows]
    known = truth[:, 0] != NOT_ANNOTATED
    curves = label_curves(benchmark, submission)
    assert [(curve.task, curve.label) for curve in curves] == [("mood", name) for name in ("happy", "sad", "angry")]
    for label, curve in enumerate(curves):
        scores, has = submission.scores["mood"][known, label].tolist(), (truth[known, label] == 1).tolist()
        reached = {}
        for threshold in set(scores):
            hits = sum(score >= threshold and yes for score, yes in zip(scores, has, strict=True))
            given = sum(score >= threshold for score in scores)
            reached[threshold] = (2 * hits / (given + sum(has)), hits / sum(has), hits / given)
        assert curve.best_f1 == pytest.approx(max(f1 for f1, _, _ in reached.values()), abs=1e-12)
        assert reached[curve.best_threshold][0] == pytest.approx(curve.best_f1, abs=1e-12)
        points = {(round(recall, 9), round(precision, 9)) for _, recall, precision in reached.values()} | {(0.0, 1.0)}
        drawn = list(zip(curve.recall, curve.precision, strict=True))
        assert len(drawn) > 2 and drawn[-1][0] == 1.0
        assert all(point != before for before, point in pairwise(drawn))
        assert {(round(recall, 9), round(precision, 9)) for recall, precision in drawn} <= points
        assert list(curve.recall) == sorted(curve.recall)


def test_without_scores_there_are_no_curves() -> None:
    assert label_curves(*made(0, with_scores=False)) == ()


def test_pairs_count_images_that_miss_one_label_and_are_given_another() -> None:
    benchmark, submission = made(4, with_scores=False)
    truth = benchmark.labels["mood"][benchmark.test_rows]
    names = ("happy", "sad", "angry")
    expected = {}
    for missed in range(3):
        for given in range(3):
            n = 0
            for has, said in zip(truth.tolist(), submission.predictions["mood"].tolist(), strict=True):
                if has[0] != NOT_ANNOTATED and has[missed] and not said[missed] and said[given] and not has[given]:
                    n += 1
            if n:
                expected[names[missed], names[given]] = (n, n / sum(has[missed] == 1 for has in truth.tolist()))
    found = label_pairs(benchmark, submission)
    assert {(pair.missed, pair.given): (pair.images, pair.share) for pair in found} == expected
    assert [pair.images for pair in found] == sorted((pair.images for pair in found), reverse=True)


@pytest.mark.parametrize("with_scores", [True, False])
def test_mistakes_are_wrong_and_not_all_of_one_kind(with_scores: bool) -> None:
    benchmark, submission = made(5, with_scores=with_scores)
    place = {row: number for number, row in enumerate(benchmark.test_rows.tolist())}
    mistakes = worst_mistakes(benchmark, submission)
    for task in benchmark.classification_tasks:
        own = [one for one in mistakes if one.task == task.name]
        assert 0 < len(own) <= N_MISTAKES
        kinds = [(one.true, one.given) for one in own]
        assert max(map(kinds.count, kinds)) <= PER_KIND
        for one in own:
            truth, given = benchmark.labels[task.name][one.row], submission.predictions[task.name][place[one.row]]
            if task.multi_label:
                has = {name for name, yes in zip(task.labels, truth, strict=True) if yes == 1}
                said = {name for name, yes in zip(task.labels, given, strict=True) if yes}
                assert truth[0] != NOT_ANNOTATED and has != said
                assert (set(one.true), set(one.given)) == (has - said, said - has)
            else:
                assert truth != NOT_ANNOTATED and truth != given
                assert (one.true, one.given) == ((task.labels[truth],), (task.labels[given],))


def test_with_scores_the_most_certain_mistake_comes_first() -> None:
    benchmark, submission = made(6, with_scores=True)
    truth = benchmark.labels["age"][benchmark.test_rows]
    scores = submission.scores["age"]
    certain = {}
    for number, (row, label) in enumerate(zip(benchmark.test_rows.tolist(), truth.tolist(), strict=True)):
        if label not in (NOT_ANNOTATED, int(scores[number].argmax())):
            certain[row] = float(scores[number].max()) - float(scores[number, label])
    first = next(one for one in worst_mistakes(benchmark, submission) if one.task == "age")
    assert certain[first.row] == max(certain.values())
