"""Scores a submission against a benchmark: the one place where all stages meet."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from piq_bench.errors import BadDataset, Problem, first_few
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.identity_names import look_alike, look_missing
from piq_bench.read.rules import unused_columns
from piq_bench.records import Benchmark, FloatArray, Submission
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.bootstrap import Clusters, clusters_of, interval, resampled
from piq_bench.scoring.classify import describe_task
from piq_bench.scoring.records import Interval, Intervals, Protocol, Score
from piq_bench.scoring.reid import score_reid
from piq_bench.scoring.tally import (
    LabelCounts,
    LabelTally,
    ReidTally,
    piq_estimates,
    point_estimate,
    point_estimates,
    reid_estimates,
    tally_labels,
)

PROTOCOL_VERSION = 1
LEVEL = 0.95
RESAMPLES = 1000
METHOD = "expanded percentile bootstrap"

Estimates = Mapping[str, FloatArray]
"""Values of each metric by name, shape (n_weightings,)."""


def score(
    benchmark: Benchmark,
    submission: Submission,
    *,
    ap: str = "non-interpolated",
    n_resamples: int = RESAMPLES,
    seed: int = 0,
    engine: Engine = plain.count_ranks,
    engine_name: str = plain.ENGINE,
    advance: Callable[[int], None] = lambda steps: None,
) -> Score:
    """Score every task of a submission.

    Args:
        benchmark: benchmark with labels.
        submission: submission aligned with it; tasks that it lacks are not scored, and PIQ is then None.
        ap: convention of average precision, a key of `metrics.retrieval.AVERAGE_PRECISIONS`.
        n_resamples: number of bootstrap resamples; 0 for no intervals.
        seed: seed of the bootstrap resampling.
        engine: counts images around positives; every engine gives the same counts.
        engine_name: name of the engine in the result.
        advance: called with the number of queries finished since the last call.
    """
    found, _, _ = score_and_tallies(
        benchmark,
        submission,
        ap=ap,
        n_resamples=n_resamples,
        seed=seed,
        engine=engine,
        engine_name=engine_name,
        advance=advance,
    )
    return found


def score_and_tallies(
    benchmark: Benchmark,
    submission: Submission,
    *,
    ap: str,
    n_resamples: int,
    seed: int,
    engine: Engine,
    engine_name: str,
    advance: Callable[[int], None],
) -> tuple[Score, ReidTally | None, dict[str, LabelTally]]:
    """Score every task of a submission; also what `compare` needs of it: the tallies of re-id and of each other task.

    The arguments are those of `score`.
    """
    pool = ThreadPoolExecutor(1)
    fingerprinting = pool.submit(fingerprint, benchmark)  # beside what comes before counting and uses one core
    pool.shutdown(wait=False)
    clusters = clusters_of(benchmark)
    label_tallies = tally_labels(benchmark, submission, clusters)
    counts = LabelCounts(label_tallies)
    reid_tally, reid = None, None
    notes: list[str] = []
    if submission.has_retrieval and benchmark.retrieval_task is not None:
        reid_tally, reid, notes = score_reid(benchmark, submission, clusters, engine, ap=ap, advance=advance)
    _, f1_values, aspects, piq = _estimate(benchmark, reid_tally, counts, clusters.once)
    if reid is not None:
        notes = [*notes, *submission.notes, *_data_notes(benchmark)]
    if point_estimate(piq) is None:
        missing = _missing(benchmark, submission)
        reason = f"not submitted: {', '.join(missing)}" if missing else "a task has nothing to be scored on"
        notes = [*notes, f"PIQ is not reported: {reason}"]
    intervals = earlier = None
    if n_resamples:
        intervals, earlier = _intervals(benchmark, clusters, reid_tally, counts, n_resamples, seed)
    details = {
        task.name: describe_task(benchmark, submission, task, label_tallies[task.name])
        for task in benchmark.classification_tasks
        if task.name in label_tallies
    }
    found = Score(
        piq=point_estimate(piq),
        aspects={name: point_estimate(values) for name, values in aspects.items()},
        reid=reid,
        f1=point_estimates(f1_values),
        labels={task: detail.labels for task, detail in details.items()},
        confusion={task: detail.confusion for task, detail in details.items() if detail.confusion is not None},
        chance_f1={task: detail.chance_f1 for task, detail in details.items()},
        majority_f1={task: detail.majority_f1 for task, detail in details.items()},
        intervals=intervals,
        notes=tuple(notes),
        submission={
            "name": submission.name,
            "content": submission.content,
            "images": benchmark.test_rows.size,
            "dimension": None if submission.embedding is None else submission.embedding.shape[1],
            "distance": _distance_of(submission),
        },
        benchmark={"name": benchmark.name, "version": benchmark.version, "fingerprint": fingerprinting.result()},
        protocol=protocol_of(benchmark, ap=ap),
        engine=engine_name if submission.matrix is None else plain.ENGINE,
        file={"sha256": submission.file_sha256, "bytes": submission.file_bytes},
        attributes={task: detail.attributes for task, detail in details.items()},
        earlier_intervals=earlier,
    )
    return found, reid_tally, label_tallies


def protocol_of(benchmark: Benchmark, *, ap: str) -> Protocol:
    """Every choice that changes a score, from the benchmark and from the options of `score`."""
    return Protocol(
        version=PROTOCOL_VERSION,
        ap=ap,
        grouping=None if benchmark.groups is None else benchmark.groups.grouping,
        exclude=tuple(map(str, benchmark.exclude)),
    )


def _estimate(
    benchmark: Benchmark, reid: ReidTally | None, labels: LabelCounts, weights: FloatArray
) -> tuple[Estimates, Estimates, Mapping[str, FloatArray | None], FloatArray | None]:
    reid_values = {} if reid is None else reid_estimates(reid, weights)
    f1_values = labels.f1(weights)
    return (reid_values, f1_values, *piq_estimates(benchmark, reid_values, f1_values))


def _intervals(
    benchmark: Benchmark,
    clusters: Clusters,
    reid: ReidTally | None,
    labels: LabelCounts,
    n_resamples: int,
    seed: int,
) -> tuple[Intervals, Intervals]:
    """The intervals, and those of earlier versions, from the same resamples."""
    blocks = resampled(
        lambda weights: _estimate(benchmark, reid, labels, weights),
        clusters,
        n_resamples,
        seed,
        with_groups=bool(labels.tasks),
    )
    drawn: dict[tuple[str, str], list[FloatArray]] = {}
    for reid_values, f1_values, aspects, piq in blocks:
        for part, values in (("reid", reid_values), ("f1", f1_values), ("aspects", aspects), ("piq", {"piq": piq})):
            for name, value in values.items():
                if value is not None:
                    drawn.setdefault((part, name), []).append(value)
    freedom = _freedom(clusters, reid)
    expanded, earlier = _parts(), _parts()
    for (part, name), values_of in drawn.items():
        found = np.concatenate(values_of)
        expanded[part][name] = interval(found, LEVEL, freedom[part])
        earlier[part][name] = interval(found, LEVEL)
    return (
        _as_intervals(benchmark, expanded, n_resamples, seed, METHOD),
        _as_intervals(benchmark, earlier, n_resamples, seed, None),
    )


def _freedom(clusters: Clusters, reid: ReidTally | None) -> dict[str, float]:
    """Degrees of freedom by part of a score; the smaller number for aspects and PIQ, which may mix both."""
    free = {"f1": clusters.freedom, "reid": clusters.freedom}
    if reid is not None:
        free["reid"] = max(0.0, float((reid.n_queries > 0).sum()) - 1.0)
    return free | dict.fromkeys(("aspects", "piq"), min(free.values()))


def _parts() -> dict[str, dict[str, Interval]]:
    return {"reid": {}, "f1": {}, "aspects": {}, "piq": {}}


def _as_intervals(
    benchmark: Benchmark, ends: Mapping[str, Mapping[str, Interval]], n_resamples: int, seed: int, method: str | None
) -> Intervals:
    aspects_in_order = dict.fromkeys(task.aspect for task in benchmark.tasks)
    return Intervals(
        level=LEVEL,
        resamples=n_resamples,
        seed=seed,
        piq=ends["piq"].get("piq"),
        aspects={aspect: ends["aspects"].get(aspect) for aspect in aspects_in_order},
        reid=ends["reid"],
        f1=ends["f1"],
        method=method,
    )


def require_numbers(score: Score) -> None:
    """Refuse a result in which a submitted task got no number.

    Raises:
        BadDataset: naming every such task: the data set cannot answer it.
    """
    problems = []
    if score.reid is not None and score.reid.values["macro_map"] is None:
        rules = ", ".join(score.protocol.exclude) or "none"
        found = f"none of {score.reid.queries_skipped} queries has a positive left; exclusion rules: {rules}"
        remedy = "queries with an identity, each with gallery images of it that no rule excludes"
        problems.append(Problem("nothing-scored", "re-id", found, remedy))
    for task, value in score.f1.items():
        if value is None:
            remedy = "annotate some, or leave the task out of benchmark.toml"
            problems.append(Problem("nothing-scored", task, "no query or gallery image is annotated", remedy))
    if problems:
        raise BadDataset(score.benchmark["name"], problems)


def _data_notes(benchmark: Benchmark) -> list[str]:
    """What about identities and columns casts doubt on a re-id score."""
    notes = [] if benchmark.rules_declared else [
        f"no exclusion rule uses the column {name!r}: gallery images with the same {name} as the query stay candidates;"
        " to change this, set exclude under [retrieval] in benchmark.toml, or use --exclude"
        for name in unused_columns(benchmark)
    ]  # fmt: skip
    missing = look_missing(benchmark.identities, benchmark.persons)
    if missing:
        notes.append(
            f"identities that look like missing values count as people: {first_few(missing, len(missing))};"
            " declare them as junk, distractors or persons under [retrieval] in benchmark.toml"
        )
    alike = look_alike(benchmark.identities)
    if alike:
        pairs = [" = ".join(names[:2]) for names in alike]
        notes.append(
            f"identities that differ in spelling alone count as different people: {first_few(pairs, len(pairs))};"
            " if they are the same person, correct the labels"
        )
    return notes


def _distance_of(submission: Submission) -> str | None:
    """How its embeddings are compared; "given" for a matrix of distances or similarities."""
    if submission.matrix is not None:
        return "given"
    return None if submission.embedding is None else submission.distance


def _missing(benchmark: Benchmark, submission: Submission) -> list[str]:
    """Tasks of the benchmark that were not submitted."""
    given = set(submission.predictions) | ({"embedding"} if submission.has_retrieval else set())
    return [task.name for task in benchmark.tasks if (task.name if task.labels else "embedding") not in given]
