"""HTML pages in which every text that a user controls is an attack."""

from dataclasses import replace

import builders
import numpy as np

from piq_bench.describe.stats import describe
from piq_bench.records import Benchmark, Submission, Task
from piq_bench.report.compare_html import compare_html
from piq_bench.report.disclosure import disclosed
from piq_bench.report.reference import Reference
from piq_bench.report.score_html import score_html
from piq_bench.report.stats_html import LEVEL_COLUMNS, stats_html
from piq_bench.scoring.compare import compare, tallied
from piq_bench.scoring.drilldown import drill_down
from piq_bench.scoring.score import score

LARGER = builders.Size(n_query=30, n_gallery=60, n_identities=12)


def page_of(
    benchmark: Benchmark, submission: Submission, level: str = "full", reference: Reference | None = None
) -> str:
    """The HTML page of a score."""
    result = score(benchmark, submission, n_resamples=5)
    closer = drill_down(benchmark, submission, result, disclosure=level)
    return score_html(disclosed(result, level), benchmark, drilldown=closer, reference=reference)


def hostile_benchmark(hostile: str, image: str) -> Benchmark:
    """A benchmark with `hostile` in its names, labels, identities and sources, whose image ids end with `image`."""
    benchmark = builders.benchmark(np.random.default_rng(0), LARGER)
    tasks = tuple(
        Task(task.name, hostile, task.kind, tuple(hostile + label for label in task.labels), task.multi_label)
        for task in benchmark.tasks
    )
    assert benchmark.source is not None
    return replace(
        benchmark,
        name=hostile,
        version=hostile,
        tasks=tasks,
        images=np.array([f"{i:03}{image}" for i in range(benchmark.images.size)], dtype=object),
        identities=tuple(hostile + name for name in benchmark.identities),
        source=np.array([hostile + name for name in benchmark.source], dtype=object),
    )


def hostile_score_page(hostile: str, image: str) -> str:
    """The page of `piq-score --html`."""
    benchmark = hostile_benchmark(hostile, image)
    rng = np.random.default_rng(0)
    submission = replace(builders.submission(rng, benchmark), name=hostile)
    scores = {
        task.name: (
            0.5 * submission.predictions[task.name] + 0.49 * rng.random(submission.predictions[task.name].shape)
        ).astype(np.float32)
        for task in benchmark.classification_tasks
        if task.multi_label
    }
    reference = Reference(hostile, 0.5, {hostile: 0.5}, {}, {"gender": 0.5}, {"macro": {1: 0.2, 5: 0.4}})
    return page_of(benchmark, replace(submission, scores=scores), reference=reference)


def hostile_stats_page(hostile: str) -> str:
    """The page of `piq-stats --html`."""
    benchmark = hostile_benchmark(hostile, hostile)
    assert benchmark.groups is not None
    counts = dict.fromkeys(LEVEL_COLUMNS, 1234567)
    parameters = {**benchmark.groups.parameters, "sweep": [{"threshold": 6, **counts}, {"threshold": 12, **counts}]}
    benchmark = replace(benchmark, groups=replace(benchmark.groups, parameters=parameters))
    return stats_html(describe(benchmark), benchmark)


def hostile_compare_page(hostile: str) -> str:
    """The page of `piq compare --html`."""
    rng = np.random.default_rng(0)
    benchmark = hostile_benchmark(hostile, hostile)
    systems = [
        tallied(benchmark, replace(builders.submission(rng, benchmark), name=f"{n}{hostile}", content=str(n) * 64))
        for n in range(3)
    ]
    return compare_html(compare(benchmark, systems, n_resamples=20, n_swaps=20), benchmark)
