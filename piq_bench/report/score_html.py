"""A Score as one page: no request leaves it, it reads without scripts, prints, and follows a dark screen.

Everything that a stranger wrote is escaped by the template. Plots are vector graphics whose places are computed here,
in units of a viewBox; colours and texts are the template's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from piq_bench import __version__
from piq_bench.metrics.piq import reid_score
from piq_bench.records import GALLERY, NO_IDENTITY, RETRIEVAL, Benchmark, Score, Task
from piq_bench.report.html import render
from piq_bench.report.json import digest_of
from piq_bench.report.rows import main_rows, metric_rows, percent, summary

N_LOSSES = 12
PLOT = (640.0, 260.0)  # width and height of the plot of people


@dataclass(frozen=True)
class Loss:
    """What keeps PIQ from 1.

    Attributes:
        cause: what would have to be perfect.
        points: of PIQ, in per cent, that it would bring.
    """

    cause: str
    points: float


@dataclass(frozen=True)
class Person:
    """A dot in the plot of people.

    Attributes:
        n_images: of the person in the gallery.
        average_precision: mean over the person's queries.
        x, y: place in the plot.
    """

    n_images: int
    average_precision: float
    x: float
    y: float


def score_html(score: Score, benchmark: Benchmark, *, digest: str | None = None) -> str:
    """The page's text.

    Args:
        score: what is shown.
        benchmark: that it was scored against.
        digest: of the whole score, where a part of it is not shown; None for that of this one.
    """
    people = _people(score, benchmark)
    losses = points_lost(score, benchmark)
    matrices = [_matrix(task, score.confusion[task.name]) for task in benchmark.tasks if task.name in score.confusion]
    bars = [
        {
            "task": task,
            "rows": [
                {
                    "name": name,
                    "support": label.support,
                    "values": [
                        ("precision", label.precision, percent(label.precision)),
                        ("recall", label.recall, percent(label.recall)),
                        ("F1", label.f1, percent(label.f1)),
                    ],
                }
                for name, label in labels.items()
            ],
        }
        for task, labels in score.labels.items()
    ]
    return render(
        "score.html",
        name=score.submission["name"],
        piq=percent(score.piq),
        facts=summary(score),
        rows=_tracks(score, benchmark),
        metrics=metric_rows(score),
        with_duplicates=score.reid is not None and score.reid.without_exclusion is not None,
        losses=losses[:N_LOSSES],
        most_lost=max((loss.points for loss in losses), default=1.0) or 1.0,
        matrices=matrices,
        bars=bars,
        people=_dots(people),
        plot=PLOT,
        most_images=max((n for n, _ in people), default=0),
        notes=score.notes,
        digest=digest or digest_of(score),
        version=__version__,
    )


def points_lost(score: Score, benchmark: Benchmark) -> list[Loss]:
    """The distance of PIQ from 1, divided among its causes; the greatest first. They sum up to it.

    A cause is a label of a task, whose F1 would be 1, or a metric of re-identification.
    """
    if score.piq is None or not score.labels:
        return []
    tasks: dict[str, list[Task]] = {}
    for task in benchmark.tasks:
        tasks.setdefault(task.aspect, []).append(task)
    losses = []
    for aspect, own in tasks.items():
        for task in own:
            share = 100.0 / len(tasks) / len(own)
            if task.kind == RETRIEVAL and score.reid is not None:
                rank1, mean = (score.reid.values[name] or 0.0 for name in ("macro_rank1", "macro_map"))
                losses.append(Loss(f"{aspect}: Rank-1", share * (1.0 - reid_score(rank1, 1.0))))
                losses.append(Loss(f"{aspect}: mAP", share * (1.0 - reid_score(1.0, mean))))
            else:
                labels = {name: one for name, one in score.labels[task.name].items() if one.support}
                losses += [
                    Loss(f"{task.name}: {name}", share * (1.0 - one.f1) / len(labels)) for name, one in labels.items()
                ]
    return sorted(losses, key=lambda loss: -loss.points)


def _tracks(score: Score, benchmark: Benchmark) -> list[dict[str, object]]:
    """The main rows, with what is drawn of them: fractions of the width."""
    ends = score.intervals
    numbers: list[tuple[float | None, tuple[float, float] | None, float | None]] = [
        (score.piq, ends.piq if ends else None, None)
    ]
    for aspect, value in score.aspects.items():
        numbers.append((value, ends.aspects[aspect] if ends else None, None))
        for task in benchmark.tasks:
            if task.aspect != aspect:
                continue
            if task.kind == RETRIEVAL:
                values = score.reid.values if score.reid else {}
                chance = score.reid.chance if score.reid else {}
                for key in ("macro_rank1", "macro_map"):
                    numbers.append((values.get(key), ends.reid.get(key) if ends else None, chance.get(key)))
            else:
                own = ends.f1.get(task.name) if ends else None
                numbers.append((score.f1.get(task.name), own, score.chance_f1.get(task.name)))
    rows = main_rows(score, benchmark)
    return [
        {"row": row, "value": value, "ends": own, "chance": chance}
        for row, (value, own, chance) in zip(rows, numbers, strict=True)
    ]


def _matrix(task: Task, counts: Sequence[Sequence[int]]) -> dict[str, object]:
    """A confusion matrix with the share of each row that a cell has."""
    rows = []
    for name, row in zip(task.labels, counts, strict=True):
        total = sum(row)
        rows.append((name, total, [(count, count / total if total else 0.0) for count in row]))
    return {"task": task.name, "labels": task.labels, "rows": rows}


def _people(score: Score, benchmark: Benchmark) -> list[tuple[int, float]]:
    """Images in the gallery and mean average precision of each person with a scored query."""
    if score.reid is None:
        return []
    in_gallery = benchmark.identity[(benchmark.split == GALLERY) & (benchmark.identity != NO_IDENTITY)]
    n_images = np.bincount(in_gallery, minlength=len(benchmark.identities)).tolist()
    place = {name: number for number, name in enumerate(benchmark.identities)}
    return [(n_images[place[name]], value) for name, value in score.reid.by_identity.items()]


def _dots(people: Sequence[tuple[int, float]]) -> list[Person]:
    """Places: number of images on a logarithmic scale to the right, average precision upwards."""
    most = max((n for n, _ in people), default=1)
    width, height = PLOT
    scale = log(most) or 1.0
    return [Person(n, value, width * log(max(n, 1)) / scale, height * (1.0 - value)) for n, value in people]
