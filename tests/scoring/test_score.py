"""The whole score against the plain definitions of tests/oracles.py, and what must not change it."""

import dataclasses
import json
from typing import Literal

import builders
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieve.test_rankings import EMBEDDINGS, Make, plain_candidates

from piq_bench.records import NOT_ANNOTATED, RETRIEVAL, Benchmark, Grouping, Groups, Submission, Task
from piq_bench.report.json import digest, score_document, score_json
from piq_bench.scoring.bootstrap import clusters_of, resampled
from piq_bench.scoring.score import score


def sets(benchmark: Benchmark, submission: Submission, task: Task) -> tuple[list[set[str] | None], list[set[str]]]:
    truth: list[set[str] | None] = []
    predicted = []
    for i, row in enumerate(benchmark.test_rows):
        true, given_ = benchmark.labels[task.name][row], submission.predictions[task.name][i]
        if task.multi_label:
            known = true[0] != NOT_ANNOTATED
            truth.append({n for n, has in zip(task.labels, true, strict=True) if has} if known else None)
            predicted.append({n for n, has in zip(task.labels, given_, strict=True) if has})
        else:
            truth.append({task.labels[true]} if true != NOT_ANNOTATED else None)
            predicted.append({task.labels[given_]})
    return truth, predicted


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("make", EMBEDDINGS)
@pytest.mark.parametrize("mode", ["components", "neighbours", None])
def test_every_number_agrees_with_the_oracle(
    make: Make, distance: Literal["cosine", "euclidean"], mode: Literal["components", "neighbours"] | None
) -> None:
    rng = np.random.default_rng(42)
    benchmark = builders.benchmark(rng, builders.Size(n_query=10, n_gallery=40), mode=mode)
    submission = builders.submission(rng, benchmark, make(rng, benchmark.test_rows.size), distance=distance)
    result = score(benchmark, submission, n_resamples=0)

    queries = plain_candidates(benchmark, submission)
    assert result.reid is not None
    assert dict(result.reid.values) == pytest.approx(oracles.reid(queries), rel=1e-12, abs=1e-15)
    if mode is None:
        assert result.reid.without_exclusion is None
        assert any("without exclusion" in note for note in result.notes)
    else:
        included = plain_candidates(benchmark, submission, exclude_groups=False)
        assert result.reid.without_exclusion is not None
        assert dict(result.reid.without_exclusion) == pytest.approx(oracles.reid(included), rel=1e-12, abs=1e-15)
    lost = [identity for identity, candidates in queries if not any(hit for _, hit in candidates)]
    left = {identity for identity, candidates in queries if any(hit for _, hit in candidates)}
    assert result.reid.queries_skipped == len(lost)
    assert result.reid.queries == len(queries) - len(lost)
    assert set(result.reid.identities_skipped) == set(lost) - left
    constant = [(identity, [(0.0, hit) for _, hit in candidates]) for identity, candidates in queries]
    expected_chance = oracles.reid(constant)
    assert dict(result.reid.chance) == pytest.approx(
        {name: expected_chance[name] for name in ("macro_map", "macro_rank1")}, rel=1e-12
    )

    expected_f1 = {
        task.name: oracles.macro_f1(*sets(benchmark, submission, task)) for task in benchmark.classification_tasks
    }
    assert dict(result.f1) == pytest.approx(expected_f1, rel=1e-12)
    reid = (result.reid.values["macro_map"] or 0) / 2 + (result.reid.values["macro_rank1"] or 0) / 2
    expected_piq = (reid + (expected_f1["gender"] + expected_f1["age"]) / 2 + expected_f1["mood"]) / 3
    assert result.piq == pytest.approx(expected_piq, rel=1e-12)


def test_per_label_numbers_and_confusion_by_hand() -> None:
    rng = np.random.default_rng(8)
    benchmark = builders.benchmark(rng)
    submission = builders.submission(rng, benchmark)
    result = score(benchmark, submission, n_resamples=0)
    for task in benchmark.classification_tasks:
        truth, predicted = sets(benchmark, submission, task)
        known = [(t, p) for t, p in zip(truth, predicted, strict=True) if t is not None]
        for name, label in result.labels[task.name].items():
            assert label.support == sum(name in t for t, _ in known)
            assert label.predicted == sum(name in p for _, p in known)
            assert label.hits == sum(name in t and name in p for t, p in known)
            assert label.precision == (label.hits / label.predicted if label.predicted else None)
        if not task.multi_label:
            expected = [[sum(a in t and b in p for t, p in known) for b in task.labels] for a in task.labels]
            assert [list(row) for row in result.confusion[task.name]] == expected


def test_intervals_are_percentiles_of_scores_of_resampled_identities() -> None:
    """Every resample is scored from scratch: clusters are repeated as often as they were drawn."""
    rng = np.random.default_rng(4)
    benchmark = builders.benchmark(rng)
    submission = builders.submission(rng, benchmark)
    clusters = clusters_of(benchmark)
    result = score(benchmark, submission, n_resamples=30, seed=5)
    queries = plain_candidates(benchmark, submission)
    values: dict[str, list[float]] = {"macro_map": [], "map": [], "gender": [], "mood": []}
    for weights in np.concatenate(resampled(np.asarray, clusters, 30, 5)).astype(int):
        often = {benchmark.identities[i]: weights[c] for c, i in enumerate(clusters.identity)}
        drawn = [
            (f"{identity}, copy {copy}", candidates)
            for identity, candidates in queries
            for copy in range(often[identity])
        ]
        if any(hit for _, candidates in drawn for _, hit in candidates):
            scored = oracles.reid(drawn, {"map": oracles.average_precision})
            values["macro_map"].append(scored["macro_map"])
            values["map"].append(scored["map"])
        for name in ("gender", "mood"):
            task = next(task for task in benchmark.tasks if task.name == name)
            truth, predicted = sets(benchmark, submission, task)
            rows = [i for i, cluster in enumerate(clusters.of_row) for _ in range(weights[cluster])]
            if any(truth[i] for i in rows):
                values[name].append(oracles.macro_f1([truth[i] for i in rows], [predicted[i] for i in rows]))
    assert result.intervals is not None
    for name, found in {**result.intervals.reid, **result.intervals.f1}.items():
        if name in values:
            known = sorted(values[name])
            assert found == pytest.approx((known[0], known[-1]), rel=1e-12)  # ceil(0.025 x 30) = 1: the first


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_a_perfect_answer_scores_1_and_a_constant_one_earns_chance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, unlabelled_queries=False)
    rows = benchmark.test_rows
    centre = np.eye(len(benchmark.identities) + 1, dtype=np.float32)[benchmark.identity[rows]]
    perfect = builders.submission(rng, benchmark, centre)
    truth = {
        task.name: np.maximum(benchmark.labels[task.name][rows], 0).astype(bool if task.multi_label else np.int64)
        for task in benchmark.classification_tasks
    }
    result = score(benchmark, dataclasses.replace(perfect, predictions=truth), n_resamples=0)
    if result.reid is not None and result.reid.queries:
        assert result.piq == pytest.approx(1.0, rel=1e-15)
    constant = builders.submission(rng, benchmark, np.ones((rows.size, 3), dtype=np.float32))
    chance = score(benchmark, constant, n_resamples=0).reid
    assert chance is not None
    for name in ("macro_map", "macro_rank1"):
        assert chance.values[name] == pytest.approx(chance.chance[name], rel=1e-12)


def test_copies_of_labelled_images_among_the_distractors_gain_nothing() -> None:
    """A bitwise copy of a positive, without an identity, ties with it wherever it is in the file."""
    rng = np.random.default_rng(6)
    benchmark = builders.benchmark(rng, mode=None)
    rows = benchmark.test_rows
    values = rng.standard_normal((rows.size, 4)).astype(np.float32)
    copies = (benchmark.split[rows] == 2) & (benchmark.identity[rows] == -1)
    values[copies] = values[rng.choice(np.flatnonzero(benchmark.identity[rows] >= 0), int(copies.sum()))]
    submission = builders.submission(rng, benchmark, values)
    result = score(benchmark, submission, n_resamples=0)
    assert result.reid is not None
    expected = oracles.reid(plain_candidates(benchmark, submission))
    assert dict(result.reid.values) == pytest.approx(expected, rel=1e-12)


def test_a_partial_submission_is_scored_without_piq() -> None:
    rng = np.random.default_rng(9)
    benchmark = builders.benchmark(rng)
    whole = builders.submission(rng, benchmark)
    only_reid = score(benchmark, dataclasses.replace(whole, predictions={}), n_resamples=10)
    assert (only_reid.piq, only_reid.aspects["appearance"], only_reid.f1) == (None, None, {})
    assert only_reid.aspects["reid"] is not None
    assert any("not submitted: gender, age, mood" in note for note in only_reid.notes)
    only_labels = score(benchmark, dataclasses.replace(whole, embedding=None), n_resamples=10)
    assert only_labels.reid is None and only_labels.piq is None
    assert only_labels.f1 == score(benchmark, whole, n_resamples=0).f1


def test_a_benchmark_without_reid_has_a_piq() -> None:
    rng = np.random.default_rng(9)
    benchmark = builders.benchmark(rng)
    tasks = tuple(task for task in benchmark.tasks if task.kind != RETRIEVAL)
    submission = dataclasses.replace(builders.submission(rng, benchmark), embedding=None)
    result = score(dataclasses.replace(benchmark, tasks=tasks), submission, n_resamples=10)
    assert result.piq == pytest.approx(((result.f1["gender"] or 0) / 2 + (result.f1["age"] or 0) / 2
                                        + (result.f1["mood"] or 0)) / 2)  # fmt: skip


def test_a_degenerate_embedding_is_pointed_out() -> None:
    rng = np.random.default_rng(9)
    benchmark = builders.benchmark(rng)
    constant = builders.submission(rng, benchmark, np.ones((benchmark.test_rows.size, 3), dtype=np.float32))
    assert any("degenerate embedding: 1 distinct rows" in n for n in score(benchmark, constant, n_resamples=0).notes)


def test_metrics_without_a_scored_query_are_null_not_zero() -> None:
    """All images are near-duplicates of each other: no query keeps a positive."""
    rng = np.random.default_rng(9)
    benchmark = builders.benchmark(rng)
    one_group = Groups(Grouping(), np.zeros(benchmark.images.size, np.uint64), np.zeros(benchmark.images.size, int))
    result = score(dataclasses.replace(benchmark, groups=one_group), builders.submission(rng, benchmark))
    assert result.reid is not None
    assert result.reid.queries == 0
    assert set(result.reid.values.values()) == {None}
    assert result.piq is None
    assert json.loads(score_json(result))["reid"]["macro_map"] is None


def test_the_digest_covers_every_part_above_software() -> None:
    rng = np.random.default_rng(10)
    benchmark = builders.benchmark(rng)
    document = score_document(score(benchmark, builders.submission(rng, benchmark), n_resamples=20))
    keys = list(document)
    above = {key: document[key] for key in keys[: keys.index("software")]}
    protocol = above["protocol"]
    assert isinstance(protocol, dict)
    claimed = protocol["digest"]
    without = above | {"protocol": {k: v for k, v in protocol.items() if k != "digest"}}
    assert digest(without) == claimed
    for key in above:
        assert digest(without | {key: "changed"}) != claimed
