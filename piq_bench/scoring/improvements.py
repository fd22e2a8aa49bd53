"""Computes what PIQ would be if one task, or one part of a task, were perfect and everything else unchanged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from piq_bench.metrics.labels import macro_f1
from piq_bench.metrics.piq import aspect_scores, piq, reid_score
from piq_bench.records import CLASSIFICATION, Benchmark
from piq_bench.scoring.people import by_person, gallery_images, hits_at
from piq_bench.scoring.records import LabelScore, QueryScores, Score


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


def _few_images(benchmark: Benchmark, by_query: QueryScores) -> tuple[str, float]:
    """Definition, and score of re-id if people with fewer gallery images than the median were always found first."""
    people, mean = by_person(by_query, by_query.average_precision)
    _, first = by_person(by_query, hits_at(by_query.first_run, 1))
    n_images = gallery_images(benchmark)[people]
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
