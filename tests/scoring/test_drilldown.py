"""The drilldown of a report, checked against the score, against scoring again, and against plain loops."""

import itertools
from dataclasses import replace
from statistics import fmean, median

import builders
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.records import GALLERY, NOT_ANNOTATED, Benchmark, Submission
from piq_bench.scoring.drilldown import (
    FEWEST_PEOPLE,
    N_NEIGHBOURS,
    N_QUERIES,
    drill_down,
    size_classes,
)
from piq_bench.scoring.improvements import improvements_of
from piq_bench.scoring.people import RANKS, cmc_of
from piq_bench.scoring.records import QueryScores, Score
from piq_bench.scoring.score import score

SEEDS = st.integers(0, 10**6)
LARGER = builders.Size(n_query=30, n_gallery=60, n_identities=12)


def scored(
    seed: int, size: builders.Size = LARGER, *, constant: bool = False
) -> tuple[Benchmark, Submission, Score, QueryScores]:
    """Long-tailed people, some of them tied."""
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, size)
    n = benchmark.test_rows.size
    embedding = np.ones((n, 2), dtype=np.float32) if constant else rng.integers(1, 6, (n, 3)).astype(np.float32)
    submission = builders.submission(rng, benchmark, embedding)
    result = score(benchmark, submission, n_resamples=0)
    assert result.reid is not None
    assert result.reid.by_query is not None
    return benchmark, submission, result, result.reid.by_query


@given(SEEDS, st.booleans())
@settings(max_examples=25)
def test_the_values_of_queries_average_to_the_score(seed: int, constant: bool) -> None:
    benchmark, _, result, by_query = scored(seed, constant=constant)
    assert result.reid is not None
    values = result.reid.values
    kept = ~np.isnan(by_query.average_precision)
    assert kept.sum() == result.reid.queries
    assert fmean(by_query.average_precision[kept]) == pytest.approx(values["map"], abs=1e-12)
    assert result.reid.without_exclusion is not None
    assert by_query.with_duplicates is not None
    assert np.nanmean(by_query.with_duplicates) == pytest.approx(result.reid.without_exclusion["map"], abs=1e-12)
    assert (benchmark.identity[by_query.row] == by_query.identity).all()


@given(SEEDS, st.booleans())
@settings(max_examples=25)
def test_the_cmc_curve_goes_through_the_reported_ranks_and_never_falls(seed: int, constant: bool) -> None:
    _, _, result, by_query = scored(seed, constant=constant)
    assert result.reid is not None
    assert by_query.first_run_with_duplicates is not None
    for first_run, values in (
        (by_query.first_run, result.reid.values),
        (by_query.first_run_with_duplicates, result.reid.without_exclusion),
    ):
        assert values is not None
        cmc = cmc_of(by_query.identity, first_run)
        for rank in (1, 5, 10):
            assert cmc.macro[RANKS.index(rank)] == values[f"macro_rank{rank}"]
            assert cmc.plain[RANKS.index(rank)] == values[f"rank{rank}"]
        for curve in (cmc.macro, cmc.plain):
            assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(curve))


@given(SEEDS)
@settings(max_examples=15)
def test_a_perfect_task_gives_the_piq_of_a_submission_that_answers_it_correctly(seed: int) -> None:
    benchmark, submission, result, _ = scored(seed)
    improvements = {one.cause: one for one in improvements_of(benchmark, result, parts=True, confusions=True)}
    assert result.piq is not None
    for task in benchmark.classification_tasks:
        truth = benchmark.labels[task.name][benchmark.test_rows]
        answer = (truth == 1) if task.multi_label else np.where(truth == NOT_ANNOTATED, 0, truth)
        better = replace(submission, predictions={**submission.predictions, task.name: answer})
        assert improvements[task.name].piq == pytest.approx(score(benchmark, better, n_resamples=0).piq, abs=1e-12)
    assert all(one.gain == pytest.approx(one.piq - result.piq, abs=1e-12) for one in improvements.values())
    assert [one.gain for one in improvements.values()] == sorted((o.gain for o in improvements.values()), reverse=True)


@given(SEEDS)
@settings(max_examples=15)
def test_without_its_most_frequent_confusion_a_task_scores_as_if_those_images_were_correct(seed: int) -> None:
    benchmark, submission, result, _ = scored(seed)
    improvements = {one.cause: one for one in improvements_of(benchmark, result, parts=True, confusions=True)}
    for name, table in result.confusion.items():
        labels = next(task.labels for task in benchmark.tasks if task.name == name)
        pairs = [(count, -i, -j) for i, row in enumerate(table) for j, count in enumerate(row) if i != j]
        count, i, j = max(pairs)
        if not count:
            continue
        truth, answer = benchmark.labels[name][benchmark.test_rows], submission.predictions[name].copy()
        answer[(truth == -i) & (answer == -j)] = -i
        better = replace(submission, predictions={**submission.predictions, name: answer})
        one = improvements[f"{name}, most frequent confusion"]
        assert one.piq == pytest.approx(score(benchmark, better, n_resamples=0).piq, abs=1e-12)
        assert one.definition == f"{count} images of {labels[-i]} are no longer classified as {labels[-j]}"


@given(SEEDS)
@settings(max_examples=15)
def test_rare_labels_are_those_below_the_median_of_their_task(seed: int) -> None:
    benchmark, _, result, _ = scored(seed)
    improvements = {one.cause: one for one in improvements_of(benchmark, result, parts=True, confusions=True)}
    for task in benchmark.classification_tasks:
        occurring = [label for label in result.labels[task.name].values() if label.support]
        middle = median(label.support for label in occurring)
        f1 = [1.0 if label.support < middle else label.f1 for label in occurring]
        if all(label.support >= middle for label in occurring):
            assert f"{task.name}, rare labels" not in improvements
            continue
        own = [other for other in benchmark.tasks if other.aspect == task.aspect]
        gain = (fmean(f1) - (result.f1[task.name] or 0)) / len(own) / len(result.aspects)
        assert improvements[f"{task.name}, rare labels"].gain == pytest.approx(gain, abs=1e-12)


@given(SEEDS)
@settings(max_examples=15)
def test_people_with_few_images_are_those_below_the_median(seed: int) -> None:
    benchmark, _, result, by_query = scored(seed)
    assert result.reid is not None
    in_gallery = (benchmark.split == GALLERY) & ~benchmark.junk
    kept = np.flatnonzero(~np.isnan(by_query.average_precision))
    people = sorted({int(by_query.identity[q]) for q in kept})
    size = {person: int((benchmark.identity[in_gallery] == person).sum()) for person in people}
    middle = median(size.values())
    first = {q: by_query.first_run[q, 0] / by_query.first_run[q, 1] * (by_query.first_run[q, 2] == 0) for q in kept}
    mean_ap, rank1 = [], []
    for person in people:
        own = [q for q in kept if by_query.identity[q] == person]
        few = size[person] < middle
        mean_ap.append(1.0 if few else fmean(by_query.average_precision[q] for q in own))
        rank1.append(1.0 if few else fmean(first[q] for q in own))
    improvements = {one.cause: one for one in improvements_of(benchmark, result, parts=True, confusions=True)}
    before = ((result.reid.values["macro_map"] or 0) + (result.reid.values["macro_rank1"] or 0)) / 2
    gain = ((fmean(mean_ap) + fmean(rank1)) / 2 - before) / len(result.aspects)
    assert improvements["reid, people with few images"].gain == pytest.approx(gain, abs=1e-12)


@given(SEEDS)
@settings(max_examples=25)
def test_classes_of_people_hold_all_people_and_average_to_the_score(seed: int) -> None:
    benchmark, _, result, by_query = scored(seed)
    assert result.reid is not None
    classes = size_classes(benchmark, by_query)
    if result.reid.identities < FEWEST_PEOPLE:
        assert classes == ()
        return
    assert sum(one.people for one in classes) == result.reid.identities
    assert min(one.people for one in classes) >= FEWEST_PEOPLE
    assert all(one.most < other.fewest for one, other in itertools.pairwise(classes))
    total = sum(one.average_precision * one.people for one in classes) / result.reid.identities
    assert total == pytest.approx(result.reid.values["macro_map"], abs=1e-12)


@given(SEEDS)
@settings(max_examples=15)
def test_worst_and_best_queries_are_of_different_people_in_order(seed: int) -> None:
    benchmark, submission, result, by_query = scored(seed)
    drilldown = drill_down(benchmark, submission, result)
    precision = dict(zip(by_query.row.tolist(), by_query.average_precision.tolist(), strict=True))
    for queries, is_ascending in ((drilldown.worst, True), (drilldown.best, False)):
        values = [query.average_precision for query in queries]
        assert values == sorted(values, reverse=not is_ascending)
        assert len({query.identity for query in queries}) == len(queries) <= N_QUERIES
        assert values == [precision[query.row] for query in queries]
    assert not {query.row for query in drilldown.worst} & {query.row for query in drilldown.best}
    assert drilldown.worst[0].average_precision == min(value for value in precision.values() if value == value)
    for query in (*drilldown.worst, *drilldown.best):
        assert 0 < len(query.neighbours) <= N_NEIGHBOURS
        similarities = [one.similarity for one in query.neighbours]
        assert similarities == sorted(similarities, reverse=True)
        assert all(benchmark.split[one.row] == GALLERY for one in query.neighbours)


def test_each_lower_level_of_disclosure_shows_less() -> None:
    benchmark, submission, result, _ = scored(1)
    full, public, least = (
        drill_down(benchmark, submission, result, disclosure=level) for level in ("full", "public", "score")
    )
    assert full.worst
    assert full.cmc == public.cmc is not None
    assert full.cmc_with_duplicates == public.cmc_with_duplicates is not None
    assert public.sizes
    assert not (
        public.worst
        or public.best
        or least.cmc
        or least.cmc_with_duplicates
        or least.sizes
        or least.worst
        or least.best
    )
    assert "gender, most frequent confusion" in {one.cause for one in full.improvements}
    assert "gender, most frequent confusion" not in {one.cause for one in public.improvements}
    names = [label for task in benchmark.tasks for label in task.labels]
    assert any(name in one.definition for one in public.improvements for name in names)
    assert not any(name in one.cause + one.definition for one in least.improvements for name in names)
    assert {one.cause for one in least.improvements} == {
        "reid", "reid, macro Rank-1", "reid, macro mAP", "gender", "age", "mood",
    }  # fmt: skip


def test_a_partial_submission_has_an_empty_drilldown() -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    submission = replace(builders.submission(rng, benchmark), embedding=None)
    drilldown = drill_down(benchmark, submission, score(benchmark, submission, n_resamples=0))
    assert drilldown.improvements == ()
    assert drilldown.cmc is None
    assert drilldown.worst == drilldown.best == ()
