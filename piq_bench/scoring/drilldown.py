"""Computes from a score what a person looks at next. Nothing here is part of the score file.

It answers what would be if one thing were perfect; at which rank the first correct image is; whether people with few
images are found as well as those with many; what the best and the worst queries find instead; how similar right and
wrong pairs are; where answers about labels go wrong; and whether rows look shifted. The level of disclosure decides how
much is answered.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from piq_bench.records import TRAIN, Benchmark, IntArray, Submission
from piq_bench.retrieve.candidates import Candidates, find_candidates
from piq_bench.retrieve.matrix import MatrixSimilarity, similarity_of
from piq_bench.retrieve.neighbours import Neighbour, nearest
from piq_bench.retrieve.similarity import Similarity
from piq_bench.scoring.improvements import Improvement, improvements_of
from piq_bench.scoring.label_faults import (
    LabelCurve,
    LabelPair,
    Mistake,
    label_curves,
    label_pairs,
    worst_mistakes,
)
from piq_bench.scoring.pair_samples import (
    CameraPairs,
    Histogram,
    by_camera,
    similarity_histogram,
)
from piq_bench.scoring.people import Cmc, by_person, cmc_of, gallery_images, is_scored
from piq_bench.scoring.records import QueryScores, Score
from piq_bench.scoring.shifted_rows import Shift, shifted_rows

N_CLASSES = 3  # classes of people by their number of images
FEWEST_PEOPLE = 3  # in a class: a mean over fewer people would reveal each of them
N_QUERIES = 6  # number of best queries, and of worst queries
N_NEIGHBOURS = 8  # nearest gallery images shown for a query


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
    """One query and its nearest gallery images.

    Attributes:
        row: its benchmark row.
        identity: index into the benchmark's identities.
        average_precision: its average precision.
        neighbours: most similar first.
        first_right: its most similar positive, the first by id of those; its rank is the best that ties allow.
    """

    row: int
    identity: int
    average_precision: float
    neighbours: tuple[Neighbour, ...]
    first_right: Neighbour


@dataclass(frozen=True)
class Drilldown:
    """What a level of disclosure allows to show; empty or None where there is nothing.

    Attributes:
        improvements: largest gain first.
        cmc: CMC of all scored queries, without near-duplicates.
        cmc_with_duplicates: CMC with near-duplicates, of the queries that are scored then; None without groups.
        sizes: classes of people by number of images, fewest first.
        worst, best: queries of lowest and highest average precision, at most one per person in each.
        histogram: similarities of right and wrong pairs.
        cameras: average precision by pair of cameras.
        curves, pairs, mistakes: where answers about labels go wrong.
        shifts: tasks whose rows look shifted.
    """

    improvements: tuple[Improvement, ...]
    cmc: Cmc | None
    cmc_with_duplicates: Cmc | None
    sizes: tuple[SizeClass, ...]
    worst: tuple[RankedQuery, ...]
    best: tuple[RankedQuery, ...]
    histogram: Histogram | None = None
    cameras: CameraPairs | None = None
    curves: tuple[LabelCurve, ...] = field(default=())
    pairs: tuple[LabelPair, ...] = field(default=())
    mistakes: tuple[Mistake, ...] = field(default=())
    shifts: tuple[Shift, ...] = field(default=())


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
    if by_query is not None and not is_scored(by_query).any():
        by_query = None
    is_full = disclosure == "full"
    candidates = find_candidates(benchmark) if is_full and by_query is not None else None
    found = Drilldown(
        improvements=improvements,
        cmc=None,
        cmc_with_duplicates=None,
        sizes=(),
        worst=(),
        best=(),
        curves=label_curves(benchmark, submission) if is_full else (),
        pairs=label_pairs(benchmark, submission) if is_full else (),
        mistakes=worst_mistakes(benchmark, submission) if is_full else (),
    )
    if is_full:
        queries = np.flatnonzero(is_scored(by_query)) if by_query is not None else np.zeros(0, dtype=np.int64)
        found = replace(found, shifts=shifted_rows(benchmark, submission, score, candidates, queries))
    if by_query is None or disclosure == "score":
        return found
    with_duplicates = by_query.first_run_with_duplicates
    found = replace(
        found,
        cmc=cmc_of(by_query.identity, by_query.first_run),
        cmc_with_duplicates=None if with_duplicates is None else cmc_of(by_query.identity, with_duplicates),
        sizes=size_classes(benchmark, by_query),
    )
    if candidates is None:
        return found
    similarity = similarity_of(submission)
    test_row = np.cumsum(benchmark.split != TRAIN) - 1
    worst, best = _extreme_queries(benchmark, similarity, candidates, test_row, score, by_query)
    return replace(
        found,
        worst=tuple(worst),
        best=tuple(best),
        histogram=similarity_histogram(similarity, candidates, test_row, benchmark.identity, queries),
        cameras=by_camera(benchmark, similarity, candidates, test_row, queries),
    )


def size_classes(benchmark: Benchmark, by_query: QueryScores) -> tuple[SizeClass, ...]:
    """People with a scored query in up to N_CLASSES by number of gallery images; equal numbers share a class.

    A class of fewer than FEWEST_PEOPLE is merged with the one before it; with fewer people in all, there is no class.
    """
    people, mean = by_person(by_query, by_query.average_precision)
    n_images = gallery_images(benchmark)[people]
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


def _extreme_queries(
    benchmark: Benchmark,
    similarity: Similarity | MatrixSimilarity,
    candidates: Candidates,
    test_row: IntArray,
    score: Score,
    by_query: QueryScores,
) -> tuple[list[RankedQuery], list[RankedQuery]]:
    """The worst and the best queries; among ties, those with most positives are best, then the first by id."""
    n_positives = np.diff(candidates.positives.start)
    precision = by_query.average_precision
    scored = np.flatnonzero(is_scored(by_query))
    worst_first = scored[np.lexsort((scored, precision[scored]))]
    best_first = scored[np.lexsort((scored, -n_positives[scored], -precision[scored]))]
    worst = _one_per_person(by_query, worst_first, set())
    best = _one_per_person(by_query, best_first, set(worst))
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
        RankedQuery(
            row=int(by_query.row[query]),
            identity=int(by_query.identity[query]),
            average_precision=float(precision[query]),
            neighbours=tuple(neighbours),
            first_right=_first_right(similarity, candidates, test_row, query, by_query),
        )
        for query, neighbours in zip(chosen.tolist(), lists, strict=True)
    ]
    return ranked[: len(worst)], ranked[len(worst) :]


def _first_right(
    similarity: Similarity | MatrixSimilarity,
    candidates: Candidates,
    test_row: IntArray,
    query: int,
    by_query: QueryScores,
) -> Neighbour:
    """The most similar positive of a scored query, without its near-duplicates."""
    images = np.setdiff1d(candidates.positives[query], candidates.duplicates[query])
    own = np.full(images.size, test_row[candidates.query[query]])
    values = similarity.exact_pairs(own, test_row[candidates.gallery[images]])
    first = int(values.argmax())
    _, n_tied, n_above = by_query.first_run[query].tolist()
    return Neighbour(
        rank=n_above + 1,
        row=int(candidates.gallery[images[first]]),
        identity=int(by_query.identity[query]),
        similarity=float(values[first]),
        is_positive=True,
        is_tied=n_tied > 1,
    )


def _one_per_person(by_query: QueryScores, order: IntArray, taken: set[int]) -> list[int]:
    """The first N_QUERIES queries, each of another person, that are not in `taken`."""
    by_person: dict[int, int] = {}
    for query in order.tolist():
        if len(by_person) == N_QUERIES:
            break
        if query not in taken:
            by_person.setdefault(int(by_query.identity[query]), query)
    return list(by_person.values())
