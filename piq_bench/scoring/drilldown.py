"""Computes from a score what a person looks at next. Nothing here is part of the score file.

It answers four questions: what would PIQ be if one thing were perfect; at which rank is the first correct image; are
people with few images found as well as those with many; and what do the best and the worst queries find instead. The
level of disclosure decides how much is answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from piq_bench.metrics.labels import macro_f1
from piq_bench.metrics.piq import aspect_scores, piq, reid_score
from piq_bench.metrics.retrieval import Rankings, cumulative_match
from piq_bench.records import CLASSIFICATION, GALLERY, TRAIN, Benchmark, FloatArray, IntArray, Submission
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.retrieve.matrix import similarity_of
from piq_bench.retrieve.neighbours import Neighbour, nearest
from piq_bench.scoring.records import LabelScore, QueryScores, Score

RANKS = tuple(range(1, 51))  # of the CMC curve
N_CLASSES = 3  # classes of people by their number of images
FEWEST_PEOPLE = 3  # in a class: a mean over fewer people would reveal each of them
N_QUERIES = 6  # number of best queries, and of worst queries
N_NEIGHBOURS = 8  # nearest gallery images shown for a query


@dataclass(frozen=True)
class Improvement:
    """What PIQ would be if one thing were perfect and everything else unchanged.

    Attributes:
        cause: the thing that would be perfect.
        definition: what perfect means here.
        piq: PIQ in that case, in [0, 1].
        gain: `piq` minus the actual PIQ.
    """

    cause: str
    definition: str
    piq: float
    gain: float


@dataclass(frozen=True)
class Cmc:
    """Share of queries with a positive up to each rank, from rank 1: mean over people, and mean over queries."""

    macro: tuple[float, ...]
    plain: tuple[float, ...]


@dataclass(frozen=True)
class SizeClass:
    """People with a similar number of gallery images.

    Attributes:
        fewest, most: smallest and largest number of gallery images of a person in the class.
        people: number of people.
        average_precision: mean over the people of the mean over their queries.
    """

    fewest: int
    most: int
    people: int
    average_precision: float


@dataclass(frozen=True)
class RankedQuery:
    """One query and its nearest gallery images; `row` is its benchmark row."""

    row: int
    identity: int
    average_precision: float
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Drilldown:
    """What a level of disclosure allows to show; empty or None where there is nothing.

    Attributes:
        improvements: largest gain first.
        cmc: CMC of all scored queries, without near-duplicates.
        cmc_with_duplicates: CMC with near-duplicates, of the queries that are scored then; None without groups.
        sizes: classes of people by number of images, fewest first.
        worst, best: queries of lowest and highest average precision, at most one per person in each.
    """

    improvements: tuple[Improvement, ...]
    cmc: Cmc | None
    cmc_with_duplicates: Cmc | None
    sizes: tuple[SizeClass, ...]
    worst: tuple[RankedQuery, ...]
    best: tuple[RankedQuery, ...]


def drill_down(benchmark: Benchmark, submission: Submission, score: Score, *, disclosure: str = "full") -> Drilldown:
    """Compute as much as the level of disclosure allows.

    Args:
        benchmark: benchmark with labels.
        submission: submission aligned with it.
        score: full score of the submission.
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
    with_duplicates = by_query.first_run_with_duplicates
    return Drilldown(
        improvements=improvements,
        cmc=cmc_of(by_query.identity, by_query.first_run),
        cmc_with_duplicates=None if with_duplicates is None else cmc_of(by_query.identity, with_duplicates),
        sizes=size_classes(benchmark, by_query),
        worst=tuple(worst),
        best=tuple(best),
    )


def improvements_of(benchmark: Benchmark, score: Score, *, parts: bool, confusions: bool) -> tuple[Improvement, ...]:
    """PIQ if one task, or one part of a task, were perfect; empty where PIQ is not reported.

    Args:
        benchmark: the benchmark.
        score: the actual score.
        parts: whether to consider parts of tasks: rare labels, people with few images.
        confusions: whether to consider single confusions too.
    """
    if score.piq is None:
        return ()
    options: list[tuple[str, str, str, float]] = []  # task, cause, definition, the task's score in that case
    own = {task: value for task, value in score.f1.items() if value is not None}
    reid = benchmark.retrieval_task
    if reid is not None and score.reid is not None:
        rank1, mean = (float(score.reid.values[name] or 0.0) for name in ("macro_rank1", "macro_map"))
        own[reid.name] = reid_score(rank1, mean)
        options.append((reid.name, reid.name, "macro Rank-1 and macro mAP are 1", 1.0))
        for part, unchanged, value in (
            ("macro Rank-1", "macro mAP", reid_score(1.0, mean)),
            ("macro mAP", "macro Rank-1", reid_score(rank1, 1.0)),
        ):
            options.append((reid.name, f"{reid.name}, {part}", f"{part} is 1, {unchanged} unchanged", value))
        if parts and score.reid.by_query is not None:
            few = _few_images(benchmark, score.reid.by_query)
            options.append((reid.name, f"{reid.name}, people with few images", *few))
    for task in benchmark.tasks:
        if task.kind != CLASSIFICATION:
            continue
        options.append((task.name, task.name, "F1 is 1", 1.0))
        if parts:
            options += [(task.name, *part) for part in _rare_labels(task.name, score.labels[task.name])]
        if confusions and task.name in score.confusion:
            options += [(task.name, *part) for part in _confusion(task.name, score, task.labels)]
    improved = []
    for name, cause, definition, value in options:
        total = piq(aspect_scores(benchmark.tasks, own | {name: value}))
        assert total is not None  # noqa: S101  (PIQ is reported, so it is defined here too)
        improved.append(Improvement(cause, definition, total, total - score.piq))
    return tuple(sorted(improved, key=lambda improvement: -improvement.gain))


def cmc_of(identity: IntArray, first_run: IntArray) -> Cmc:
    """CMC at every rank of RANKS; at least one query must be scored.

    Args:
        identity: shape (n_queries,); identity of each query.
        first_run: shape (n_queries, 3); as in QueryScores.
    """
    scored = first_run[:, 1] > 0
    hits = np.stack([_hits(first_run, rank)[scored] for rank in RANKS])  # (n_ranks, n_scored)
    person = identity[scored]
    return Cmc(tuple(_mean_over_people(row, person) for row in hits), tuple(float(row.mean()) for row in hits))


def size_classes(benchmark: Benchmark, by_query: QueryScores) -> tuple[SizeClass, ...]:
    """People with a scored query in up to N_CLASSES by number of gallery images; equal numbers share a class.

    A class of fewer than FEWEST_PEOPLE is merged with the one before it; with fewer people in all, there is no class.
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
    """Definition, and score of re-id if people with fewer gallery images than the median were always found first."""
    people, mean = _by_person(by_query, by_query.average_precision)
    _, first = _by_person(by_query, _hits(by_query.first_run, 1))
    n_images = _gallery_images(benchmark)[people]
    middle = float(np.median(n_images)) if people.size else 0.0
    few = n_images < middle
    then = [float(np.where(few, 1.0, values).mean()) for values in (first, mean)] if people.size else [0.0, 0.0]
    definition = f"Rank-1 and AP are 1 for {int(few.sum())} people with fewer than {middle:g} gallery images"
    return definition, reid_score(*then)


def _rare_labels(task: str, labels: Mapping[str, LabelScore]) -> list[tuple[str, str, float]]:
    """Cause, definition, and F1 if every label below the median support had an F1 of 1 and the others kept theirs."""
    occurring = {name: label for name, label in labels.items() if label.support}
    middle = median(label.support for label in occurring.values()) if occurring else 0
    rare = [name for name, label in occurring.items() if label.support < middle]
    if not rare:
        return []
    value = sum(1.0 if name in rare else label.f1 for name, label in occurring.items()) / len(occurring)
    return [(f"{task}, rare labels", f"F1 is 1 for labels with fewer than {middle:g} images: {', '.join(rare)}", value)]


def _confusion(task: str, score: Score, names: Sequence[str]) -> list[tuple[str, str, float]]:
    """Cause, definition, and F1 if the images of the most frequent confusion were classified correctly."""
    counts = np.array(score.confusion[task], dtype=np.int64)
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return []
    true, given = divmod(int(wrong.argmax()), len(names))
    n_wrong = int(wrong[true, given])
    counts[true, true] += n_wrong
    counts[true, given] = 0
    value = macro_f1(np.diag(counts).astype(float), counts.sum(axis=0).astype(float), counts.sum(axis=1).astype(float))
    definition = f"{n_wrong} images of {names[true]} are no longer classified as {names[given]}"
    return [(f"{task}, most frequent confusion", definition, float(value))]


def _extreme_queries(
    benchmark: Benchmark, submission: Submission, score: Score, by_query: QueryScores
) -> tuple[list[RankedQuery], list[RankedQuery]]:
    """The worst and the best queries; among ties, those with most positives are best, then the first by id."""
    candidates = find_candidates(benchmark)
    n_positives = np.diff(candidates.positives.start)
    precision = by_query.average_precision
    scored = np.flatnonzero(_scored(by_query))
    worst_first = scored[np.lexsort((scored, precision[scored]))]
    best_first = scored[np.lexsort((scored, -n_positives[scored], -precision[scored]))]
    worst = _one_per_person(by_query, worst_first, set())
    best = _one_per_person(by_query, best_first, set(worst))
    similarity = similarity_of(submission)
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
        RankedQuery(int(by_query.row[query]), int(by_query.identity[query]), float(precision[query]), tuple(neighbours))
        for query, neighbours in zip(chosen.tolist(), lists, strict=True)
    ]
    return ranked[: len(worst)], ranked[len(worst) :]


def _one_per_person(by_query: QueryScores, order: IntArray, taken: set[int]) -> list[int]:
    """The first N_QUERIES queries, each of another person, that are not in `taken`."""
    by_person: dict[int, int] = {}
    for query in order.tolist():
        if len(by_person) == N_QUERIES:
            break
        if query not in taken:
            by_person.setdefault(int(by_query.identity[query]), query)
    return list(by_person.values())


def _scored(by_query: QueryScores) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(~np.isnan(by_query.average_precision))


def _hits(first_run: IntArray, rank: int) -> FloatArray:
    """Shape (n_queries,); CMC at a rank, NaN where a query is not scored. It depends on the first run alone."""
    is_scored = first_run[:, 1] > 0
    start = np.concatenate([[0], np.cumsum(is_scored)])
    n_positives, n_images, n_above = first_run[is_scored].T
    return cumulative_match(Rankings(start, n_positives, n_images, n_above), rank)


def _by_person(by_query: QueryScores, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """People with a scored query, ascending, and the mean of each person's scored queries."""
    scored = _scored(by_query)
    people, place = np.unique(by_query.identity[scored], return_inverse=True)
    return people, np.bincount(place, weights=values[scored]) / np.maximum(np.bincount(place), 1)


def _mean_over_people(values: FloatArray, person: IntArray) -> float:
    _, place = np.unique(person, return_inverse=True)
    return float((np.bincount(place, weights=values) / np.bincount(place)).mean())


def _gallery_images(benchmark: Benchmark) -> IntArray:
    """Shape (n_identities,); number of gallery images of each person."""
    identity = benchmark.identity[(benchmark.split == GALLERY) & ~benchmark.junk]
    return np.bincount(identity[identity >= 0], minlength=len(benchmark.identities)).astype(np.int64)
