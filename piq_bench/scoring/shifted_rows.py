"""Finds tasks whose result is far better if every row of a submission moves by one: ids and rows are out of step.

Re-id is ranked again on a sample of queries and gallery images; F1 is counted again on all images.
"""

from dataclasses import dataclass, replace

import numpy as np

from piq_bench.read.mapped import rows_of
from piq_bench.records import TRAIN, Benchmark, FloatArray, IntArray, Submission
from piq_bench.retrieve.candidates import Candidates
from piq_bench.scoring.bootstrap import clusters_of
from piq_bench.scoring.pair_samples import (
    N_POSITIVES,
    candidates_among,
    evenly,
    own_positives,
    positives_among,
    precisions,
)
from piq_bench.scoring.records import Score
from piq_bench.scoring.tally import LabelCounts, point_estimate, tally_labels

N_SHIFTED = 100  # queries that are ranked again
N_SEARCHED = 2000  # gallery images among which they are ranked, beside their own positives
RISE = 0.05  # least rise, as a fraction, by which rows look shifted


@dataclass(frozen=True)
class Shift:
    """A result that is far better if every row of the submission moves by one.

    Attributes:
        task: name of the task.
        rows: 1 if each image should have the row after its own, -1 for the row before it.
        metric: name of the metric that rises.
        before, after: its value now and after the move, on the same images.
    """

    task: str
    rows: int
    metric: str
    before: float
    after: float


def shifted_rows(
    benchmark: Benchmark, submission: Submission, score: Score, candidates: Candidates | None, queries: IntArray
) -> tuple[Shift, ...]:
    """The tasks whose result is far better if every row of the file moves by one: rows and ids do not belong together.

    Far better means a rise by more than twice the width of the interval, and by at least RISE.
    """
    ends = score.intervals
    if ends is None or submission.order.size < 2:
        return ()
    found = []
    span = ends.reid.get("map")
    if span is not None and candidates is not None and submission.embedding is not None and queries.size:
        before, *moved = _sampled_precision(benchmark, submission, candidates, queries)
        place = int(np.argmax(moved))
        if moved[place] - before > max(RISE, 2.0 * (span[1] - span[0])):
            name = benchmark.retrieval_task.name if benchmark.retrieval_task else ""
            found.append(Shift(name, (1, -1)[place], "mAP", before, moved[place]))
    order = submission.order
    if not np.array_equal(np.sort(order), np.arange(order.size)):
        return tuple(found)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    clusters = clusters_of(benchmark)
    for rows in (1, -1):
        source = back[(order + rows) % order.size]  # the test row whose answer each image would get
        predictions = {name: answers[source] for name, answers in submission.predictions.items()}
        tallies = tally_labels(benchmark, replace(submission, predictions=predictions), clusters)
        for name, values in LabelCounts(tallies).f1(clusters.once).items():
            now, then, span = score.f1.get(name), point_estimate(values), ends.f1.get(name)
            if now is None or then is None or span is None or any(one.task == name for one in found):
                continue
            if then - now > max(RISE, 2.0 * (span[1] - span[0])):
                found.append(Shift(name, rows, "F1", now, then))
    return tuple(found)


def _sampled_precision(
    benchmark: Benchmark, submission: Submission, candidates: Candidates, queries: IntArray
) -> list[float]:
    """Mean AP of a sample with the rows as they are, and with the row after and before each; fewer gallery images."""
    assert submission.embedding is not None  # noqa: S101  (the caller has checked it)
    chosen = evenly(queries, N_SHIFTED)
    positives = [evenly(own_positives(candidates, query), N_POSITIVES) for query in chosen.tolist()]
    gallery = np.unique(np.concatenate([evenly(np.arange(candidates.gallery.size), N_SEARCHED), *positives]))
    test_row = np.cumsum(benchmark.split != TRAIN) - 1
    is_candidate, is_right = (find(candidates, chosen, gallery) for find in (candidates_among, positives_among))
    n_rows = submission.embedding.shape[0]
    means = []
    for rows in (0, 1, -1):
        one, other = (
            _file_vectors(submission, (submission.order[test_row[images]] + rows) % n_rows)
            for images in (candidates.query[chosen], candidates.gallery[gallery])
        )
        table = one @ other.T
        if submission.distance == "euclidean":
            table = 2.0 * table - (other * other).sum(axis=1)[None, :]
        place = np.arange(gallery.size)
        values = precisions(table.astype(np.float32), is_candidate, is_right, np.arange(chosen.size), place)
        means.append(float(values.mean()) if values.size else 0.0)
    return means


def _file_vectors(submission: Submission, rows: IntArray) -> FloatArray:
    """Shape (n_rows, dimension); rows of the file, of length 1 under cosine."""
    assert submission.embedding is not None  # noqa: S101
    values: FloatArray = rows_of(submission.embedding, rows).astype(np.float64)
    if submission.distance == "cosine":
        values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return values
