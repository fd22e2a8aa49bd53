"""A score and what it was computed from to what a person looks at next. Nothing here is part of the score file.

Four questions: what would PIQ be if one thing were perfect; how far down the list is the first right image; are people
with few images found as well as those with many; and what do the best and the worst queries find instead. How much is
answered follows the level of disclosure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from piq_bench.metrics.labels import macro_f1
from piq_bench.metrics.piq import aspect_scores, piq, reid_score
from piq_bench.metrics.retrieval import Rankings, cumulative_match
from piq_bench.records import (
    CLASSIFICATION,
    GALLERY,
    TRAIN,
    Benchmark,
    FloatArray,
    IntArray,
    LabelScore,
    QueryScores,
    Score,
    Submission,
)
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.neighbours import Neighbour, nearest
from piq_bench.retrieve.similarity import Similarity

RANKS = tuple(range(1, 51))  # of the CMC curve
N_CLASSES = 3  # of people by their number of images
FEWEST_PEOPLE = 3  # in a class of people: a mean of fewer tells of each
N_QUERIES = 6  # best ones, and worst ones
N_NEIGHBOURS = 8


@dataclass(frozen=True)
class Improvement:
    """What PIQ would be if one thing were perfect and all else as it is.

    Attributes:
        cause: what would be perfect.
        definition: in which way.
        piq: in [0, 1].
        gain: by how much that is more.
    """

    cause: str
    definition: str
    piq: float
    gain: float


@dataclass(frozen=True)
class Cmc:
    """Share of queries with a right image among the first so many, by rank from 1: over people, and over queries."""

    macro: tuple[float, ...]
    plain: tuple[float, ...]


@dataclass(frozen=True)
class SizeClass:
    """People with a similar number of gallery images.

    Attributes:
        fewest, most: gallery images of one of them.
        people: how many.
        average_precision: mean over the people of their queries' means.
    """

    fewest: int
    most: int
    people: int
    average_precision: float


@dataclass(frozen=True)
class RankedQuery:
    """One query and its nearest gallery images; `row` of the benchmark."""

    row: int
    identity: int
    average_precision: float
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Drilldown:
    """What a level of disclosure allows to look at; empty or None where there is nothing.

    Attributes:
        improvements: the greatest gain first.
        cmc: of all scored queries, near-duplicates left out.
        cmc_with_duplicates: with near-duplicates left in, of the queries that are scored then; None without groups.
        sizes: classes of people, fewest images first.
        worst, best: queries, at most one of a person.
    """

    improvements: tuple[Improvement, ...]
    cmc: Cmc | None
    cmc_with_duplicates: Cmc | None
    sizes: tuple[SizeClass, ...]
    worst: tuple[RankedQuery, ...]
    best: tuple[RankedQuery, ...]


def drill_down(benchmark: Benchmark, submission: Submission, score: Score, *, disclosure: str = "full") -> Drilldown:
    """Answer as much as the level of disclosure allows.

    Args:
        benchmark: with labels.
        submission: aligned with it.
        score: of the two, whole.
        disclosure: a level of `report.disclosure`.
    """
    by_query = score.reid.by_query if score.reid is not None else None
    improvements = improvements_of(benchmark, score, parts=disclosure != "score", confusions=disclosure == "full")
    if by_query is None or disclosure == "score" or not _scored(by_query).any():
        return Drilldown(improvements, None, None, (), (), ())
    worst: list[RankedQuery] = []
    best: list[RankedQuery] = []
    if disclosure == "full":
        worst, best = _extreme_queries(benchmark, submission, score, by_query)
    everything = by_query.first_run_with_duplicates
    return Drilldown(
        improvements=improvements,
        cmc=cmc_of(by_query.identity, by_query.first_run),
        cmc_with_duplicates=None if everything is None else cmc_of(by_query.identity, everything),
        sizes=size_classes(benchmark, by_query),
        worst=tuple(worst),
        best=tuple(best),
    )


def improvements_of(benchmark: Benchmark, score: Score, *, parts: bool, confusions: bool) -> tuple[Improvement, ...]:
    """PIQ if one task were perfect, or one part of a task; none where PIQ is not reported.

    Args:
        benchmark: whose tasks count.
        score: as it is.
        parts: whether to look into tasks: rare labels, people with few images.
        confusions: whether to look at single confusions too.
    """
    if score.piq is None:
        return ()
    found: list[tuple[str, str, str, float]] = []  # task, cause, definition, the task's score then
    own = {task: value for task, value in score.f1.items() if value is not None}
    reid = benchmark.retrieval_task
    if reid is not None and score.reid is not None:
        rank1, mean = (float(score.reid.values[name] or 0.0) for name in ("macro_rank1", "macro_map"))
        own[reid.name] = reid_score(rank1, mean)
        found.append((reid.name, reid.name, "Rank-1 and mAP are 1", 1.0))
        found.append((reid.name, f"{reid.name}, Rank-1", "every query's first image is right", reid_score(1.0, mean)))
        found.append((reid.name, f"{reid.name}, mAP", "Rank-1 as it is, mAP is 1", reid_score(rank1, 1.0)))
        if parts and score.reid.by_query is not None:
            few = _few_images(benchmark, score.reid.by_query)
            found.append((reid.name, f"{reid.name}, people with few images", *few))
    for task in benchmark.tasks:
        if task.kind != CLASSIFICATION:
            continue
        found.append((task.name, task.name, "F1 is 1", 1.0))
        if parts:
            found += [(task.name, *part) for part in _rare_labels(task.name, score.labels[task.name])]
        if confusions and task.name in score.confusion:
            found += [(task.name, *part) for part in _confusion(task.name, score, task.labels)]
    improved = []
    for name, cause, definition, value in found:
        total = piq(aspect_scores(benchmark.tasks, own | {name: value}))
        assert total is not None  # noqa: S101  (as before, PIQ is defined)
        improved.append(Improvement(cause, definition, total, total - score.piq))
    return tuple(sorted(improved, key=lambda one: -one.gain))


def cmc_of(identity: IntArray, first_run: IntArray) -> Cmc:
    """CMC at every rank of RANKS; some query must be scored.

    Args:
        identity: shape (n_queries,).
        first_run: shape (n_queries, 3); as in QueryScores.
    """
    scored = first_run[:, 1] > 0
    hits = np.stack([_hits(first_run, rank)[scored] for rank in RANKS])  # (n_ranks, n_scored)
    person = identity[scored]
    return Cmc(tuple(_mean_over_people(row, person) for row in hits), tuple(float(row.mean()) for row in hits))


def size_classes(benchmark: Benchmark, by_query: QueryScores) -> tuple[SizeClass, ...]:
    """People with a scored query in up to N_CLASSES by their number of gallery images; equal numbers stay together.

    A class of fewer than FEWEST_PEOPLE joins the one before it; none is left where there are so few people in all.
    """
    people, mean = _by_person(by_query, by_query.average_precision)
    n_images = _gallery_images(benchmark)[people]
    if people.size < FEWEST_PEOPLE:
        return ()
    cuts = np.quantile(n_images, [i / N_CLASSES for i in range(1, N_CLASSES)], method="lower")
    members: list[IntArray] = []
    for kind in range(N_CLASSES):
        own = np.flatnonzero(np.searchsorted(cuts, n_images, side="left") == kind)
        if members and min(own.size, members[-1].size) < FEWEST_PEOPLE:
            members[-1] = np.concatenate([members[-1], own])
        elif own.size:
            members.append(own)
    return tuple(
        SizeClass(int(n_images[own].min()), int(n_images[own].max()), own.size, float(mean[own].mean()))
        for own in members
    )


def _few_images(benchmark: Benchmark, by_query: QueryScores) -> tuple[str, float]:
    """Definition and score of re-id if people below the median of gallery images were always found first."""
    people, mean = _by_person(by_query, by_query.average_precision)
    _, first = _by_person(by_query, _hits(by_query.first_run, 1))
    n_images = _gallery_images(benchmark)[people]
    middle = float(np.median(n_images)) if people.size else 0.0
    few = n_images < middle
    then = [float(np.where(few, 1.0, values).mean()) for values in (first, mean)] if people.size else [0.0, 0.0]
    return f"{int(few.sum())} people with fewer than {middle:g} gallery images are perfect", reid_score(*then)


def _rare_labels(task: str, labels: Mapping[str, LabelScore]) -> list[tuple[str, str, float]]:
    """Cause, definition and F1 if every label below the median support had an F1 of 1, the others as they are."""
    occurring = {name: label for name, label in labels.items() if label.support}
    middle = median(label.support for label in occurring.values()) if occurring else 0
    rare = [name for name, label in occurring.items() if label.support < middle]
    if not rare:
        return []
    value = sum(1.0 if name in rare else label.f1 for name, label in occurring.items()) / len(occurring)
    return [(f"{task}, rare labels", f"F1 is 1 for labels with fewer than {middle:g} images: {', '.join(rare)}", value)]


def _confusion(task: str, score: Score, names: Sequence[str]) -> list[tuple[str, str, float]]:
    """Cause, definition and F1 if the most frequent confusion did not occur: its images were answered rightly."""
    counts = np.array(score.confusion[task], dtype=np.int64)
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return []
    true, given = divmod(int(wrong.argmax()), len(names))
    n_wrong = int(wrong[true, given])
    counts[true, true] += n_wrong
    counts[true, given] = 0
    value = macro_f1(np.diag(counts).astype(float), counts.sum(axis=0).astype(float), counts.sum(axis=1).astype(float))
    definition = f"{n_wrong} images of {names[true]} are no longer taken for {names[given]}"
    return [(f"{task}, most frequent confusion", definition, float(value))]


def _extreme_queries(
    benchmark: Benchmark, submission: Submission, score: Score, by_query: QueryScores
) -> tuple[list[RankedQuery], list[RankedQuery]]:
    """The worst and the best queries; among equals those with most positives are best, then the first by id."""
    candidates = find_candidates(benchmark)
    n_positives = np.diff(candidates.positives.start)
    precision = by_query.average_precision
    scored = np.flatnonzero(_scored(by_query))
    upwards = scored[np.lexsort((scored, precision[scored]))]
    downwards = scored[np.lexsort((scored, -n_positives[scored], -precision[scored]))]
    worst = _one_per_person(by_query, upwards, set())
    best = _one_per_person(by_query, downwards, set(worst))
    similarity = Similarity.of(submission)
    test_row = np.cumsum(benchmark.split != TRAIN) - 1
    chosen = np.array(worst + best, dtype=np.int64)
    lists = nearest(
        similarity,
        candidates,
        test_row,
        identity=benchmark.identity,
        queries=chosen,
        k=N_NEIGHBOURS,
        engine="gpu" if score.engine.startswith("gpu ") else "auto",
    )
    ranked = [
        RankedQuery(int(by_query.row[query]), int(by_query.identity[query]), float(precision[query]), tuple(found))
        for query, found in zip(chosen.tolist(), lists, strict=True)
    ]
    return ranked[: len(worst)], ranked[len(worst) :]


def _one_per_person(by_query: QueryScores, order: IntArray, taken: set[int]) -> list[int]:
    """The first N_QUERIES queries of different people that are not taken."""
    found: dict[int, int] = {}
    for query in order.tolist():
        if len(found) == N_QUERIES:
            break
        if query not in taken:
            found.setdefault(int(by_query.identity[query]), query)
    return list(found.values())


def _scored(by_query: QueryScores) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(~np.isnan(by_query.average_precision))


def _hits(first_run: IntArray, rank: int) -> FloatArray:
    """Shape (n_queries,); CMC at a rank, NaN where a query is not scored. Only the first run of equals matters."""
    is_scored = first_run[:, 1] > 0
    start = np.concatenate([[0], np.cumsum(is_scored)])
    n_positives, n_images, n_above = first_run[is_scored].T
    return cumulative_match(Rankings(start, n_positives, n_images, n_above), rank)


def _by_person(by_query: QueryScores, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """People with a scored query, ascending, and the mean over each one's scored queries."""
    scored = _scored(by_query)
    people, place = np.unique(by_query.identity[scored], return_inverse=True)
    return people, np.bincount(place, weights=values[scored]) / np.maximum(np.bincount(place), 1)


def _mean_over_people(values: FloatArray, person: IntArray) -> float:
    _, place = np.unique(person, return_inverse=True)
    return float((np.bincount(place, weights=values) / np.bincount(place)).mean())


def _gallery_images(benchmark: Benchmark) -> IntArray:
    """Shape (n_identities,); gallery images of each person."""
    identity = benchmark.identity[(benchmark.split == GALLERY) & ~benchmark.junk]
    return np.bincount(identity[identity >= 0], minlength=len(benchmark.identities)).astype(np.int64)
