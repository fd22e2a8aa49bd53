"""A Score as one page: no request leaves it, it reads without scripts, prints, and follows a dark screen.

Everything that a stranger wrote is cut here and escaped by the template. What a level of disclosure hides must be left
out of the score, and of the drill-down, before they come here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from piq_bench import __version__
from piq_bench.errors import printable
from piq_bench.metrics.piq import reid_score
from piq_bench.records import GALLERY, NO_IDENTITY, RETRIEVAL, Benchmark, Interval, LabelScore, Score, Task
from piq_bench.report.charts import (
    HEIGHT,
    WIDTH,
    Chart,
    Curve,
    Dot,
    linear,
    logarithmic,
    polyline,
    round_powers,
    ticks,
    upwards,
)
from piq_bench.report.html import render
from piq_bench.report.json import digest_of
from piq_bench.report.reference import Reference
from piq_bench.report.rows import main_rows, metric_rows, percent, summary
from piq_bench.report.thumbnails import thumbnails
from piq_bench.scoring.drilldown import RANKS, Cmc, Drilldown, RankedQuery

N_LOSSES = 12
N_IMPROVEMENTS = 16
MOST_LABELS = 60  # of a task in its table; the most frequent
MOST_IN_MATRIX = 24  # rows and columns; the rest are taken together
NAME = 120  # characters of a stranger's name
SHORT = 40  # in a cell
MOST_DOTS = 4000  # people in a plot: more are a blot, and slow
TICKS = (0, 20, 40, 60, 80, 100)  # per cent


@dataclass(frozen=True)
class Loss:
    """What keeps PIQ from 1.

    Attributes:
        cause: what would have to be perfect.
        points: of PIQ, in per cent, that it would bring.
    """

    cause: str
    points: float


def score_html(
    score: Score,
    benchmark: Benchmark,
    *,
    digest: str | None = None,
    closer: Drilldown | None = None,
    reference: Reference | None = None,
) -> str:
    """The page's text.

    Args:
        score: what is shown.
        benchmark: that it was scored against.
        digest: of the whole score, where a part of it is not shown; None for that of this one.
        closer: what else is shown.
        reference: an entry whose numbers stand beside.

    Raises:
        BadUsage: if jinja2 is not installed.
    """
    losses = points_lost(score, benchmark)
    ends = score.intervals
    queries = [*closer.worst, *closer.best] if closer else []
    pictures = thumbnails(benchmark, (row for query in queries for row in _rows_of(query)))
    return render(
        "score.html",
        name=printable(score.submission["name"], NAME),
        piq=percent(score.piq),
        piq_ends=[percent(end) for end in ends.piq] if ends and ends.piq else None,
        level=f"{100 * ends.level:g}%" if ends else "",
        facts=[(term, printable(text, NAME)) for term, text in summary(score)],
        rows=_tracks(score, benchmark, reference),
        reference=printable(reference.name, SHORT) if reference else None,
        guesses=bool(score.chance_f1) or bool(score.reid and score.reid.chance),
        improvements=[
            {
                "cause": printable(one.cause, 2 * SHORT),
                "definition": printable(one.definition, 200),
                "piq": percent(one.piq),
                "gain": f"{100 * one.gain:+.2f}",
                "share": one.gain / max(closer.improvements[0].gain, 1e-12),
            }
            for one in closer.improvements[:N_IMPROVEMENTS]
        ]
        if closer
        else [],
        losses=losses[:N_LOSSES],
        most_lost=max((loss.points for loss in losses), default=1.0) or 1.0,
        metrics=metric_rows(score),
        with_duplicates=score.reid is not None and score.reid.without_exclusion is not None,
        cmc=_cmc_chart(closer.cmc, closer.cmc_with_duplicates) if closer and closer.cmc else None,
        people=_people_chart(people_of(score, benchmark)),
        sizes=[
            (f"{one.fewest} to {one.most}", one.people, percent(one.average_precision), one.average_precision)
            for one in (closer.sizes if closer else ())
        ],
        queries=[
            (title, [_shown_query(query, benchmark, pictures) for query in own])
            for title, own in (("Worst", closer.worst), ("Best", closer.best))
            if own
        ]
        if closer
        else [],
        tasks=[_task_table(task, score.labels[task.name]) for task in benchmark.tasks if task.name in score.labels],
        matrices=[
            _matrix(task, score.confusion[task.name]) for task in benchmark.tasks if task.name in score.confusion
        ],
        notes=[printable(note, 1000) for note in score.notes],
        digest=digest or digest_of(score),
        engine=score.engine,
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
                losses.append(Loss(f"{_short(aspect)}: Rank-1", share * (1.0 - reid_score(rank1, 1.0))))
                losses.append(Loss(f"{_short(aspect)}: mAP", share * (1.0 - reid_score(1.0, mean))))
            else:
                labels = {name: one for name, one in score.labels[task.name].items() if one.support}
                losses += [
                    Loss(f"{_short(task.name)}: {_short(name)}", share * (1.0 - one.f1) / len(labels))
                    for name, one in labels.items()
                ]
    return sorted(losses, key=lambda loss: -loss.points)


def people_of(score: Score, benchmark: Benchmark) -> list[tuple[str, int, float]]:
    """Name, images in the gallery and mean average precision of each person with a scored query."""
    if score.reid is None:
        return []
    in_gallery = benchmark.identity[(benchmark.split == GALLERY) & (benchmark.identity != NO_IDENTITY)]
    n_images = np.bincount(in_gallery, minlength=len(benchmark.identities)).tolist()
    place = {name: number for number, name in enumerate(benchmark.identities)}
    return [(name, n_images[place[name]], value) for name, value in score.reid.by_identity.items()]


def _tracks(score: Score, benchmark: Benchmark, reference: Reference | None) -> list[dict[str, object]]:
    """The main rows, with what is drawn of them: fractions of the width."""
    ends = score.intervals
    chances = score.reid.chance if score.reid else {}
    values = score.reid.values if score.reid else {}
    other = reference or Reference("", None, {}, {}, {})
    numbers: list[tuple[float | None, Interval, float | None, float | None]] = [
        (score.piq, ends.piq if ends else None, None, other.piq)
    ]
    for aspect, value in score.aspects.items():
        numbers.append((value, ends.aspects[aspect] if ends else None, None, other.aspects.get(aspect)))
        for task in benchmark.tasks:
            if task.aspect != aspect:
                continue
            if task.kind == RETRIEVAL:
                for key in ("macro_rank1", "macro_map"):
                    own = ends.reid.get(key) if ends else None
                    numbers.append((values.get(key), own, chances.get(key), other.reid.get(key)))
            else:
                name = task.name
                own = ends.f1.get(name) if ends else None
                numbers.append((score.f1.get(name), own, score.chance_f1.get(name), other.f1.get(name)))
    return [
        {
            "row": row,
            "name": printable(row.name, SHORT),
            "value": value,
            "ends": own,
            "chance": chance,
            "other": theirs,
            "reference": "" if theirs is None else percent(theirs),
        }
        for row, (value, own, chance, theirs) in zip(main_rows(score, benchmark), numbers, strict=True)
    ]


def _cmc_chart(cmc: Cmc, with_duplicates: Cmc | None) -> Chart:
    """Solid lines without near-duplicates, dashed ones with them."""
    x = logarithmic(RANKS[0], RANKS[-1], WIDTH)
    y = upwards(linear(0, 1, HEIGHT))
    places = [x(rank) for rank in RANKS]
    variants = "" if with_duplicates is None else "; without near-duplicates, and with them"

    def curve(name: str, values: Sequence[float], style: int, *, dashed: bool = False) -> Curve:
        return Curve(name, polyline(places, [y(value) for value in values]), style, dashed)

    curves = [curve("macro, over people", cmc.macro, 0), curve("plain, over queries", cmc.plain, 1)]
    if with_duplicates is not None:
        left_in = "near-duplicates left in"
        curves.append(curve(f"macro, {left_in}", with_duplicates.macro, 0, dashed=True))
        curves.append(curve(f"plain, {left_in}", with_duplicates.plain, 1, dashed=True))
    return Chart(
        text=f"Share of queries with a right image among the first 1 to {RANKS[-1]}, over people and over queries"
        + variants,
        x_title="images looked at",
        y_title="found, %",
        x_ticks=ticks(round_powers(RANKS[-1]), x),
        y_ticks=ticks(TICKS, upwards(linear(0, 100, HEIGHT))),
        curves=tuple(curves),
    )


def _people_chart(people: Sequence[tuple[str, int, float]]) -> Chart | None:
    """A dot per person: gallery images to the right, on a logarithmic scale, average precision upwards."""
    if not people:
        return None
    step = -(-len(people) // MOST_DOTS)
    most = max(n for _, n, _ in people)
    x = logarithmic(1, max(2, most), WIDTH)
    y = upwards(linear(0, 1, HEIGHT))
    return Chart(
        text=f"Average precision of {len(people)} people against their number of gallery images, from 1 to {most}",
        x_title="images of the person in the gallery",
        y_title="average precision, %",
        x_ticks=ticks(round_powers(max(2, most)), x),
        y_ticks=ticks(TICKS, upwards(linear(0, 100, HEIGHT))),
        dots=tuple(
            Dot(x(max(n, 1)), y(value), f"{_short(name)}: {n} images, {percent(value)}")
            for name, n, value in people[::step]
        ),
    )


def _rows_of(query: RankedQuery) -> list[int]:
    return [query.row, *(one.row for one in query.neighbours)]


def _shown_query(query: RankedQuery, benchmark: Benchmark, pictures: Mapping[int, str]) -> dict[str, object]:
    """A query and its list: pictures where there are any, ids always."""

    def image(row: int, identity: int) -> dict[str, object]:
        person = benchmark.identities[identity] if identity != NO_IDENTITY else None
        return {
            "id": printable(benchmark.images[row], NAME),
            "person": "unlabelled" if person is None else _short(person),
            "picture": pictures.get(row),
        }

    return image(query.row, query.identity) | {
        "precision": percent(query.average_precision),
        "neighbours": [
            image(one.row, one.identity)
            | {
                "rank": one.rank,
                "is_right": one.is_positive,
                "is_tied": one.is_tied,
                "similarity": f"{one.similarity:.3f}",
            }
            for one in query.neighbours
        ],
    }


def _task_table(task: Task, labels: Mapping[str, LabelScore]) -> dict[str, object]:
    """Rows of a task's labels, the most frequent ones where there are many."""
    shown = list(labels)
    if len(shown) > MOST_LABELS:
        shown = sorted(shown, key=lambda name: (-labels[name].support, name))[:MOST_LABELS]
    return {
        "name": _short(task.name),
        "left_out": len(labels) - len(shown),
        "rows": [
            {
                "name": _short(name),
                "support": label.support,
                "hits": label.hits,
                "missed": label.support - label.hits,
                "wrong": label.predicted - label.hits,
                "numbers": [
                    (title, value, percent(value))
                    for title, value in (
                        ("precision", label.precision),
                        ("recall", label.recall),
                        ("F1", label.f1 if label.support else None),
                    )
                ],
            }
            for name, label in ((name, labels[name]) for name in shown)
        ],
    }


def _matrix(task: Task, counts: Sequence[Sequence[int]]) -> dict[str, object]:
    """A confusion matrix with the share of each row that a cell has; labels beyond the most frequent are one."""
    table = np.array(counts, dtype=np.int64)
    names = [_short(name) for name in task.labels]
    if len(names) > MOST_IN_MATRIX:
        frequent = np.sort(np.argsort(-table.sum(axis=1), kind="stable")[: MOST_IN_MATRIX - 1])
        group = np.full(len(names), MOST_IN_MATRIX - 1)
        group[frequent] = np.arange(frequent.size)
        smaller = np.zeros((MOST_IN_MATRIX, MOST_IN_MATRIX), dtype=np.int64)
        np.add.at(smaller, (group[:, None], group[None, :]), table)
        table = smaller
        names = [*(names[i] for i in frequent), f"{len(names) - frequent.size} others"]
    rows = []
    for name, row in zip(names, table.tolist(), strict=True):
        total = sum(row)
        rows.append((name, total, [(count, count / total if total else 0.0) for count in row]))
    return {"task": _short(task.name), "labels": names, "rows": rows}


def _short(text: str) -> str:
    return printable(text, SHORT)
