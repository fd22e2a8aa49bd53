"""Computes the re-id part of a score from rankings: tallies per identity, means, chance, and notes for the reader."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np

from piq_bench.errors import first_few
from piq_bench.metrics.retrieval import chance_average_precision, further_metrics, metrics_of
from piq_bench.records import NO_IDENTITY, QUERY, TRAIN, Benchmark, BoolArray, FloatArray, IntArray, Submission
from piq_bench.retrieve.candidates import Candidates, find_candidates
from piq_bench.retrieve.contract import Engine
from piq_bench.retrieve.matrix import MatrixSimilarity, similarity_of
from piq_bench.retrieve.rankings import Retrieved, rank
from piq_bench.retrieve.similarity import Similarity
from piq_bench.scoring.bootstrap import Clusters
from piq_bench.scoring.records import QueryScores, ReidScore
from piq_bench.scoring.tally import ReidTally, point_estimates, reid_estimates, tally_reid

FEW_DISTINCT_SHARE = 0.5  # of distinct rows, up to which an embedding is noted as degenerate
QUERY_BLOCK = 512  # queries; few enough that their positives stay in the cache


def score_reid(
    benchmark: Benchmark,
    submission: Submission,
    clusters: Clusters,
    engine: Engine,
    *,
    ap: str,
    advance: Callable[[int], None],
) -> tuple[ReidTally, ReidScore, list[str]]:
    """Run the retrieval and return the tally from which intervals are drawn, the score, and notes on it.

    Args:
        benchmark: benchmark with a retrieval task.
        submission: submission with an embedding or a matrix.
        clusters: the units of resampling.
        engine: counts images around positives.
        ap: convention of average precision.
        advance: called with the number of queries finished since the last call.
    """
    with ThreadPoolExecutor(1) as pool:
        listed = pool.submit(find_candidates, benchmark)  # while embeddings are measured
        similarity, candidates = similarity_of(submission), listed.result()
    test_row = np.cumsum(benchmark.split != TRAIN) - 1
    retrieved = rank(similarity, candidates, test_row, engine, advance=advance)
    measured = _measure(candidates, retrieved, ap, exclude=True)
    tally = tally_reid(clusters, candidates.query_identity, measured.scored, measured.values)
    with_duplicates, unexcluded, further_with_duplicates = None, None, None
    if benchmark.groups is not None:
        unexcluded = _measure(candidates, retrieved, ap, exclude=False)
        with_duplicates, further_with_duplicates = (
            _means(clusters, candidates, unexcluded.scored, values)
            for values in (unexcluded.values, unexcluded.further)
        )
    n_scored = int(tally.n_queries.sum())
    is_scored = np.zeros(len(benchmark.identities), dtype=bool)
    is_scored[clusters.identity[tally.n_queries > 0]] = True
    dropped = np.flatnonzero(np.bincount(candidates.query_identity, minlength=is_scored.size).astype(bool) & ~is_scored)
    reid = ReidScore(
        values=point_estimates(reid_estimates(tally, clusters.once)),
        without_exclusion=with_duplicates,
        chance=_chance(clusters, candidates, retrieved),
        queries=n_scored,
        queries_skipped=candidates.query.size - n_scored,
        identities=int(is_scored.sum()),
        identities_skipped=tuple(benchmark.identities[i] for i in dropped),
        queries_unlabelled=int(((benchmark.split == QUERY) & (benchmark.identity == NO_IDENTITY)).sum()),
        by_identity={
            benchmark.identities[identity]: total / n
            for identity, total, n in zip(
                clusters.identity.tolist(), tally.total["map"].tolist(), tally.n_queries.tolist(), strict=True
            )
            if n
        },
        further=_means(clusters, candidates, measured.scored, measured.further),
        further_without_exclusion=further_with_duplicates,
        by_query=QueryScores(
            row=candidates.query,
            identity=candidates.query_identity,
            average_precision=measured.values["map"],
            with_duplicates=None if unexcluded is None else unexcluded.values["map"],
            first_run=measured.first_run,
            first_run_with_duplicates=None if unexcluded is None else unexcluded.first_run,
        ),
    )
    return tally, reid, _notes(benchmark, reid, similarity)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Every metric of every query. Arrays of shape (n_queries,); `first_run` as in QueryScores."""

    scored: BoolArray
    values: dict[str, FloatArray]
    further: dict[str, FloatArray]
    first_run: IntArray


def _measure(candidates: Candidates, retrieved: Retrieved, ap: str, *, exclude: bool) -> _Measured:
    """Compute every metric of every query, a block of queries per core at a time."""
    n_queries = candidates.query.size
    metrics, further = metrics_of(ap), further_metrics()
    values = {name: np.empty(n_queries) for name in (*metrics, *further)}
    scored = np.empty(n_queries, dtype=bool)
    first_run = np.zeros((n_queries, 3), dtype=np.int64)

    def measure(first: int) -> None:
        last = min(first + QUERY_BLOCK, n_queries)
        rankings = retrieved.rankings(first, last, exclude=exclude)
        scored[first:last] = (np.diff(rankings.start) > 0)[::-1]
        for name, metric in (metrics | further).items():
            values[name][first:last] = metric(rankings)[::-1]
        run = rankings.start[rankings.answerable]
        counts = (rankings.n_positives[run], rankings.n_images[run], rankings.n_above[run])
        first_run[last - 1 - rankings.answerable] = np.stack(counts, axis=1)

    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        list(pool.map(measure, range(0, n_queries, QUERY_BLOCK)))
    own, others = ({name: values[name] for name in names} for names in (metrics, further))
    return _Measured(scored, own, others, first_run)


def _means(
    clusters: Clusters, candidates: Candidates, scored: BoolArray, values: Mapping[str, FloatArray]
) -> dict[str, float | None]:
    """Macro and plain means of the metrics of every query."""
    tally = tally_reid(clusters, candidates.query_identity, scored, values)
    return point_estimates(reid_estimates(tally, clusters.once))


def _chance(clusters: Clusters, candidates: Candidates, retrieved: Retrieved) -> dict[str, float | None]:
    """Macro mAP and Rank-1 of a constant embedding: every candidate of a query ties with every other."""
    scored = retrieved.n_positives > 0
    precisions, hits = np.full((2, scored.size), np.nan)
    n_positives, n_candidates = retrieved.n_positives[scored], retrieved.n_candidates[scored]
    precisions[scored] = chance_average_precision(n_positives, n_candidates)
    hits[scored] = n_positives / n_candidates
    estimates = _means(clusters, candidates, scored, {"map": precisions, "rank1": hits})
    return {name: estimates[name] for name in ("macro_map", "macro_rank1")}


def _notes(benchmark: Benchmark, reid: ReidScore, similarity: Similarity | MatrixSimilarity) -> list[str]:
    notes = []
    if benchmark.groups is None:
        notes.append("the data set has no near-duplicate groups: scored without exclusion; see `piq groups`")
    if reid.queries_skipped:
        notes.append(f"{reid.queries_skipped} queries have no positive left and are not scored")
    if reid.identities_skipped:
        names = first_few(reid.identities_skipped, len(reid.identities_skipped))
        notes.append(f"identities without a scored query leave the macro mean: {names}")
    if reid.queries_unlabelled:
        notes.append(f"{reid.queries_unlabelled} query images have no identity and are no re-id queries")
    if isinstance(similarity, MatrixSimilarity):
        return notes
    n_images = similarity.embedding.shape[0]
    n_distinct = int((similarity.twin == np.arange(similarity.twin.size)).sum())  # the first of their kind
    if n_distinct <= FEW_DISTINCT_SHARE * n_images:
        notes.append(f"degenerate embedding: {n_distinct} distinct rows among {n_images} images")
    return notes
