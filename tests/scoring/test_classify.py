"""What a score reports of each task beside its macro F1, against the definitions in tests/oracles.py."""

import dataclasses
import json

import builders
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieve.test_rankings import plain_candidates
from scoring.test_score import sets

from piq_bench.records import NOT_ANNOTATED, Benchmark, Submission
from piq_bench.report.json import digest_of, score_document
from piq_bench.scoring.score import score


def with_scores(rng: np.random.Generator, benchmark: Benchmark) -> Submission:
    """Random predictions made from scores of a few values, so that some tie."""
    scores, predictions = {}, {}
    for task in benchmark.classification_tasks:
        values = rng.integers(0, 9, (benchmark.test_rows.size, len(task.labels))) / 8
        scores[task.name] = values.astype(np.float32)
        predictions[task.name] = values >= 0.5 if task.multi_label else np.argmax(values, axis=1)
    return dataclasses.replace(builders.submission(rng, benchmark), predictions=predictions, scores=scores)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_every_number_of_every_task_agrees_with_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng)
    submission = with_scores(rng, benchmark)
    result = score(benchmark, submission, n_resamples=0)
    for task in benchmark.classification_tasks:
        truth, predicted = sets(benchmark, submission, task)
        rows = [row for row, true in enumerate(truth) if true is not None]
        true = [labels for labels in truth if labels is not None]
        given_ = [predicted[row] for row in rows]
        if task.multi_label:
            expected = oracles.attributes(task.labels, true, given_)
        else:
            expected = oracles.one_label_attributes(["".join(one) for one in true], ["".join(one) for one in given_])
        columns = submission.scores[task.name][rows].T.tolist()
        precisions = {
            label: oracles.threshold_average_precision(column, [label in one for one in true])
            for label, column in zip(task.labels, columns, strict=True)
        }
        known = [value for value in precisions.values() if value is not None]
        expected["mean_average_precision"] = sum(known) / len(known)
        found = result.attributes[task.name]
        assert dict(found.values) == pytest.approx(expected, rel=1e-12)
        assert dict(found.average_precision) == pytest.approx(precisions, rel=1e-12)
        assert found.left_out.get("mean_average_precision", 0) == len(precisions) - len(known)
        if task.multi_label:
            assert found.left_out.get("recall", 0) == sum(not one for one in true)


def test_rank_20_agrees_with_the_oracle_with_and_without_near_duplicates() -> None:
    rng = np.random.default_rng(1)
    benchmark = builders.benchmark(rng, builders.Size(n_query=12, n_gallery=80))
    submission = builders.submission(rng, benchmark)
    reid = score(benchmark, submission, n_resamples=0).reid
    assert reid is not None
    expected, included = (
        oracles.reid(plain_candidates(benchmark, submission, exclude_groups=exclude), oracles.FURTHER_REID_METRICS)
        for exclude in (True, False)
    )
    assert dict(reid.further) == pytest.approx(expected, rel=1e-12)
    assert reid.further_without_exclusion is not None
    assert dict(reid.further_without_exclusion) == pytest.approx(included, rel=1e-12)
    assert reid.values["rank10"] is not None
    assert reid.further["rank20"] is not None
    assert reid.further["rank20"] >= reid.values["rank10"]


def test_scores_change_nothing_but_average_precision_and_never_the_digest() -> None:
    rng = np.random.default_rng(2)
    benchmark = builders.benchmark(rng)
    submission = with_scores(rng, benchmark)
    result = score(benchmark, submission, n_resamples=5)
    decided = score(benchmark, dataclasses.replace(submission, scores={}), n_resamples=5)
    assert digest_of(result) == digest_of(decided)
    assert decided.attributes["mood"].average_precision == {}
    assert "mean_average_precision" not in decided.attributes["mood"].values
    keys = list(score_document(result))
    assert keys.index("further_metrics") > keys.index("software")
    json.dumps(score_document(result), allow_nan=False)


def test_a_task_that_nobody_annotated_has_no_number_and_no_error() -> None:
    rng = np.random.default_rng(3)
    benchmark = builders.benchmark(rng)
    nothing = {name: np.full_like(values, NOT_ANNOTATED) for name, values in benchmark.labels.items()}
    result = score(dataclasses.replace(benchmark, labels=nothing), with_scores(rng, benchmark), n_resamples=0)
    for attributes in result.attributes.values():
        assert set(attributes.values.values()) == {None}
