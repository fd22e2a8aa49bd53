"""The one place where stages meet: a benchmark and a submission to a Score."""

from collections.abc import Callable, Mapping

import numpy as np

from piq_bench.bootstrap import Clusters, clusters_of, interval, resamples
from piq_bench.errors import first_few
from piq_bench.fingerprint import fingerprint
from piq_bench.metrics.labels import chance_f1, confusion, f1, majority_f1, precision, recall
from piq_bench.metrics.retrieval import chance_average_precision, metrics_of
from piq_bench.records import (
    NO_IDENTITY,
    NOT_ANNOTATED,
    QUERY,
    Benchmark,
    FloatArray,
    IntArray,
    Interval,
    Intervals,
    LabelScore,
    Protocol,
    ReidScore,
    Score,
    Submission,
)
from piq_bench.retrieve import cpu
from piq_bench.retrieve.candidates import Candidates, find_candidates
from piq_bench.retrieve.rankings import Engine, Rankings, rank
from piq_bench.retrieve.similarity import Similarity
from piq_bench.tally import (
    LabelTally,
    ReidTally,
    f1_estimates,
    piq_estimates,
    reid_estimates,
    tally_labels,
    tally_reid,
)

PROTOCOL_VERSION = 1
LEVEL = 0.95
RESAMPLES = 1000
FEW_DISTINCT_SHARE = 0.5

Estimates = Mapping[str, FloatArray]
"""By metric, shape (n_weightings,)."""


def score(
    benchmark: Benchmark,
    submission: Submission,
    *,
    ap: str = "non-interpolated",
    exclude_sequence: bool = False,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
    engine: Engine = cpu.count_others,
    engine_name: str = cpu.ENGINE,
    advance: Callable[[int], None] = lambda steps: None,
) -> Score:
    """Score what a submission holds.

    Args:
        benchmark: with labels.
        submission: aligned with the benchmark; tasks that it lacks are not scored, and PIQ is then None.
        ap: convention of average precision, a key of `metrics.retrieval.AVERAGE_PRECISIONS`.
        exclude_sequence: leave gallery images of the query's own sequence out of its candidates.
        n_resamples: bootstrap resamples; 0 for no intervals.
        seed: of the bootstrap.
        engine: counts images around positives; every engine gives the same counts.
        engine_name: what the result calls it.
        advance: told the number of queries done.
    """
    clusters = clusters_of(benchmark)
    label_tallies = tally_labels(benchmark, submission, clusters)
    reid_tally, reid, notes = None, None, []
    if submission.embedding is not None and benchmark.retrieval_task is not None:
        similarity = Similarity.of(submission)
        candidates = find_candidates(benchmark, exclude_sequence=exclude_sequence)
        test_row = np.cumsum(benchmark.split != 0) - 1
        excluded, included = rank(similarity, candidates, test_row, engine, advance=advance)
        reid_tally = _tally(clusters, candidates, excluded, ap)
        reid = _reid_score(benchmark, clusters, candidates, excluded, included, reid_tally, ap)
        notes += _reid_notes(benchmark, reid, similarity)

    every = np.ones((1, clusters.total))
    _, f1_values, aspects, piq = _estimate(benchmark, reid_tally, label_tallies, every)
    if _value(piq) is None:
        missing = _missing(benchmark, submission)
        reason = f"not submitted: {', '.join(missing)}" if missing else "a task has nothing to be scored on"
        notes.append(f"PIQ is not reported: {reason}")
    intervals = None
    if n_resamples:
        intervals = _intervals(benchmark, clusters, reid_tally, label_tallies, n_resamples, seed)
    annotated = {task: _annotated(benchmark, task) for task in label_tallies}
    support = {task: tally.true.sum(axis=0).astype(np.int64) for task, tally in label_tallies.items()}
    multi_label = {task.name: task.multi_label for task in benchmark.classification_tasks}
    return Score(
        piq=_value(piq),
        aspects={name: _value(values) for name, values in aspects.items()},
        reid=reid,
        f1={name: _value(values) for name, values in f1_values.items()},
        labels={task: _label_scores(benchmark, task, tally) for task, tally in label_tallies.items()},
        confusion={task: _confusion(benchmark, submission, task) for task in label_tallies if not multi_label[task]},
        chance_f1={
            task: chance_f1(n_true, annotated[task], multi_label=multi_label[task]) if n_true.any() else None
            for task, n_true in support.items()
        },
        majority_f1={
            task: majority_f1(n_true, annotated[task], multi_label=multi_label[task]) if n_true.any() else None
            for task, n_true in support.items()
        },
        intervals=intervals,
        notes=tuple(notes),
        submission={
            "name": submission.name,
            "content": submission.content,
            "images": benchmark.test_rows.size,
            "dimension": None if submission.embedding is None else submission.embedding.shape[1],
            "distance": None if submission.embedding is None else submission.distance,
        },
        benchmark={"name": benchmark.name, "version": benchmark.version, "fingerprint": fingerprint(benchmark)},
        protocol=Protocol(
            version=PROTOCOL_VERSION,
            ap=ap,
            grouping=None if benchmark.groups is None else benchmark.groups.grouping,
            exclude=(
                *(["group"] if benchmark.groups is not None else []),
                *(["camera"] if benchmark.exclude_same_camera else []),
                *(["sequence"] if exclude_sequence else []),
            ),
        ),
        engine=engine_name,
        file={"sha256": submission.file_sha256, "bytes": submission.file_bytes},
    )


def _estimate(
    benchmark: Benchmark, reid: ReidTally | None, labels: Mapping[str, LabelTally], weights: FloatArray
) -> tuple[Estimates, Estimates, Mapping[str, FloatArray | None], FloatArray | None]:
    reid_values = {} if reid is None else reid_estimates(reid, weights)
    f1_values = f1_estimates(labels, weights)
    return (reid_values, f1_values, *piq_estimates(benchmark, reid_values, f1_values))


def _intervals(
    benchmark: Benchmark,
    clusters: Clusters,
    reid: ReidTally | None,
    labels: Mapping[str, LabelTally],
    n_resamples: int,
    seed: int,
) -> Intervals:
    drawn: dict[tuple[str, str], list[FloatArray]] = {}
    for weights in resamples(clusters, n_resamples, seed):
        reid_values, f1_values, aspects, piq = _estimate(benchmark, reid, labels, weights)
        for part, values in (("reid", reid_values), ("f1", f1_values), ("aspects", aspects), ("piq", {"piq": piq})):
            for name, value in values.items():
                if value is not None:
                    drawn.setdefault((part, name), []).append(value)
    ends: dict[str, dict[str, Interval]] = {"reid": {}, "f1": {}, "aspects": {}, "piq": {}}
    for (part, name), blocks in drawn.items():
        ends[part][name] = interval(np.concatenate(blocks), LEVEL)
    aspects_in_order = dict.fromkeys(task.aspect for task in benchmark.tasks)
    return Intervals(
        level=LEVEL,
        resamples=n_resamples,
        seed=seed,
        piq=ends["piq"].get("piq"),
        aspects={aspect: ends["aspects"].get(aspect) for aspect in aspects_in_order},
        reid=ends["reid"],
        f1=ends["f1"],
    )


def _tally(clusters: Clusters, candidates: Candidates, rankings: Rankings, ap: str) -> ReidTally:
    scored = np.array([ranking is not None for ranking in rankings.ranking], dtype=bool)
    values = {
        name: np.array([np.nan if ranking is None else metric(ranking) for ranking in rankings.ranking])
        for name, metric in metrics_of(ap).items()
    }
    return tally_reid(clusters, candidates.query_identity, scored, values)


def _reid_score(
    benchmark: Benchmark,
    clusters: Clusters,
    candidates: Candidates,
    excluded: Rankings,
    included: Rankings,
    tally: ReidTally,
    ap: str,
) -> ReidScore:
    every = np.ones((1, clusters.total))
    asked = np.unique(candidates.query_identity)
    scored = clusters.identity[tally.n_queries > 0]
    with_duplicates = None
    if benchmark.groups is not None:
        with_duplicates = _values(reid_estimates(_tally(clusters, candidates, included, ap), every))
    n_scored = int(tally.n_queries.sum())
    return ReidScore(
        values=_values(reid_estimates(tally, every)),
        without_exclusion=with_duplicates,
        chance=_chance(clusters, candidates, excluded),
        queries=n_scored,
        queries_skipped=candidates.query.size - n_scored,
        identities=scored.size,
        identities_skipped=tuple(benchmark.identities[i] for i in np.setdiff1d(asked, scored)),
        queries_unlabelled=int(((benchmark.split == QUERY) & (benchmark.identity == NO_IDENTITY)).sum()),
    )


def _chance(clusters: Clusters, candidates: Candidates, rankings: Rankings) -> dict[str, float | None]:
    """Macro mAP and Rank-1 of a constant embedding: every candidate of a query ties with every other."""
    sizes = np.stack([rankings.n_positives, rankings.n_candidates], axis=1)
    distinct, of_query = np.unique(sizes, axis=0, return_inverse=True)
    precisions = np.array([chance_average_precision(int(r), int(n)) if r else np.nan for r, n in distinct])
    hits = np.array([r / n if r else np.nan for r, n in distinct])
    of_query = of_query.ravel()
    tally = tally_reid(
        clusters,
        candidates.query_identity,
        rankings.n_positives > 0,
        {"map": precisions[of_query], "rank1": hits[of_query]},
    )
    estimates = _values(reid_estimates(tally, np.ones((1, clusters.total))))
    return {name: estimates[name] for name in ("macro_map", "macro_rank1")}


def _reid_notes(benchmark: Benchmark, reid: ReidScore, similarity: Similarity) -> list[str]:
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
    n_distinct = np.unique(similarity.twin).size
    if n_distinct <= FEW_DISTINCT_SHARE * similarity.twin.size:
        notes.append(f"degenerate embedding: {n_distinct} distinct rows among {similarity.twin.size} images")
    return notes


def _label_scores(benchmark: Benchmark, task: str, tally: LabelTally) -> dict[str, LabelScore]:
    names = next(t.labels for t in benchmark.tasks if t.name == task)
    hits, predicted, true = (part.sum(axis=0) for part in (tally.hits, tally.predicted, tally.true))
    f1_scores = f1(hits, predicted, true)
    return {
        name: LabelScore(
            precision=precision(int(hits[i]), int(predicted[i])),
            recall=recall(int(hits[i]), int(true[i])),
            f1=float(f1_scores[i]),
            support=int(true[i]),
            predicted=int(predicted[i]),
            hits=int(hits[i]),
        )
        for i, name in enumerate(names)
    }


def _confusion(benchmark: Benchmark, submission: Submission, task: str) -> tuple[tuple[int, ...], ...]:
    truth = benchmark.labels[task][benchmark.test_rows]
    known = truth != NOT_ANNOTATED
    n_labels = next(len(t.labels) for t in benchmark.tasks if t.name == task)
    table = confusion(truth[known], submission.predictions[task][known].astype(np.int64), n_labels)
    return tuple(tuple(int(count) for count in row) for row in table)


def _annotated(benchmark: Benchmark, task: str) -> int:
    truth: IntArray = benchmark.labels[task][benchmark.test_rows]
    known = truth != NOT_ANNOTATED
    return int((known if known.ndim == 1 else known.all(axis=1)).sum())


def _missing(benchmark: Benchmark, submission: Submission) -> list[str]:
    """Tasks of the benchmark that were not submitted."""
    given = set(submission.predictions) | ({"embedding"} if submission.embedding is not None else set())
    return [task.name for task in benchmark.tasks if (task.name if task.labels else "embedding") not in given]


def _values(estimates: Estimates) -> dict[str, float | None]:
    return {name: _value(values) for name, values in estimates.items()}


def _value(estimate: FloatArray | None) -> float | None:
    """The first weighting's number; None where it is undefined."""
    return None if estimate is None or np.isnan(estimate[0]) else float(estimate[0])
