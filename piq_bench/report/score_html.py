"""Writes a Score as one HTML page that loads nothing, needs no scripts, prints well and has a dark mode.

Untrusted text is cut here and escaped by the template. The caller removes what the level of disclosure hides from the
score and from the drill-down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from piq_bench import __version__
from piq_bench.errors import printable
from piq_bench.metrics.piq import reid_score
from piq_bench.records import GALLERY, NO_IDENTITY, RETRIEVAL, Benchmark, Task
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
from piq_bench.report.rows import (
    ATTRIBUTE_METRICS,
    attribute_rows,
    fact,
    left_out_lines,
    main_rows,
    metric_rows,
    percent,
    summary,
)
from piq_bench.report.thumbnails import thumbnails
from piq_bench.scoring.drilldown import RANKS, Cmc, Drilldown, RankedQuery
from piq_bench.scoring.records import LabelScore, Score

N_LOSSES = 12
N_IMPROVEMENTS = 16
MOST_LABELS = 60  # rows in the table of a task, the most frequent labels
MOST_IN_MATRIX = 24  # rows and columns of a confusion matrix; the last one sums up the remaining labels
NAME = 120  # characters of an untrusted name
SHORT = 40  # characters of an untrusted name in a cell
MOST_DOTS = 4000  # people in a plot; more overlap and are slow to draw
PERCENT_TICKS = (0, 20, 40, 60, 80, 100)


@dataclass(frozen=True)
class LostPoints:
    """The points of PIQ that are lost by one label or re-id metric.

    Attributes:
        cause: name of the label or metric.
        points: increase of PIQ, in per cent, if it were perfect.
    """

    cause: str
    points: float


def score_html(
    score: Score,
    benchmark: Benchmark,
    *,
    digest: str | None = None,
    drilldown: Drilldown | None = None,
    reference: Reference | None = None,
) -> str:
    """The text of the page.

    Args:
        score: score to show.
        benchmark: benchmark that the submission was scored against.
        digest: digest of the whole score, if `score` is only a part of it; None for the digest of `score`.
        drilldown: further results to show; None for none.
        reference: entry whose scores are shown beside; None for none.

    Raises:
        BadUsage: if jinja2 is not installed.
    """
    losses = points_lost(score, benchmark)
    ends = score.intervals
    queries = [*drilldown.worst, *drilldown.best] if drilldown else []
    pictures = thumbnails(benchmark, (row for query in queries for row in _rows_of(query)))
    return render(
        "score.html",
        name=printable(score.submission["name"], NAME),
        headline=[row for row in main_rows(score, benchmark) if row.level == 0],
        level=f"{100 * ends.level:g}%" if ends else "",
        facts=[(term, fact(term, text, NAME)) for term, text in summary(score)],
        rows=_tracks(score, benchmark, reference),
        reference=printable(reference.name, SHORT) if reference else None,
        guesses=bool(score.chance_f1) or bool(score.reid and score.reid.chance),
        improvements=[
            {
                "cause": printable(improvement.cause, 2 * SHORT),
                "definition": printable(improvement.definition, 200),
                "piq": percent(improvement.piq),
                "gain": f"{100 * improvement.gain:+.2f}",
                "share": improvement.gain / max(drilldown.improvements[0].gain, 1e-12),
            }
            for improvement in drilldown.improvements[:N_IMPROVEMENTS]
        ]
        if drilldown
        else [],
        losses=losses[:N_LOSSES],
        most_lost=max((loss.points for loss in losses), default=1.0) or 1.0,
        metrics=metric_rows(score),
        with_duplicates=score.reid is not None and score.reid.without_exclusion is not None,
        cmc=_cmc_chart(drilldown.cmc, drilldown.cmc_with_duplicates) if drilldown and drilldown.cmc else None,
        people=_people_chart(people_of(score, benchmark)),
        sizes=[
            (_range_text(size.fewest, size.most), size.people, percent(size.average_precision), size.average_precision)
            for size in (drilldown.sizes if drilldown else ())
        ],
        queries=[
            (title, [_shown_query(query, benchmark, pictures) for query in extremes])
            for title, extremes in (("Worst", drilldown.worst), ("Best", drilldown.best))
            if extremes
        ]
        if drilldown
        else [],
        attribute_metrics=ATTRIBUTE_METRICS,
        attributes=[(_cell_text(row.task), row.cells) for row in attribute_rows(score)],
        left_out=[printable(line, 1000) for line in left_out_lines(score)],
        tasks=[_task_table(task, score.labels[task.name]) for task in benchmark.tasks if task.name in score.labels],
        matrices=[
            _matrix(task, score.confusion[task.name]) for task in benchmark.tasks if task.name in score.confusion
        ],
        notes=[printable(note, 1000) for note in score.notes],
        digest=digest or digest_of(score),
        engine=score.engine,
        version=__version__,
    )


def points_lost(score: Score, benchmark: Benchmark) -> list[LostPoints]:
    """The gap between PIQ and 1, divided among the labels and re-id metrics that cause it; the largest part first.

    The points of a cause are the increase of PIQ if the F1 of the label, or the re-id metric, were 1. They add up to
    the gap.
    """
    if score.piq is None or not score.labels:
        return []
    tasks: dict[str, list[Task]] = {}
    for task in benchmark.tasks:
        tasks.setdefault(task.aspect, []).append(task)
    losses = []
    for aspect, members in tasks.items():
        for task in members:
            share = 100.0 / len(tasks) / len(members)
            if task.kind == RETRIEVAL and score.reid is not None:
                rank1, mean = (score.reid.values[name] or 0.0 for name in ("macro_rank1", "macro_map"))
                losses.append(LostPoints(f"{_cell_text(aspect)}: macro Rank-1", share * (1.0 - reid_score(rank1, 1.0))))
                losses.append(LostPoints(f"{_cell_text(aspect)}: macro mAP", share * (1.0 - reid_score(1.0, mean))))
            else:
                labels = {name: one for name, one in score.labels[task.name].items() if one.support}
                losses += [
                    LostPoints(f"{_cell_text(task.name)}: {_cell_text(name)}", share * (1.0 - one.f1) / len(labels))
                    for name, one in labels.items()
                ]
    return sorted(losses, key=lambda loss: -loss.points)


def people_of(score: Score, benchmark: Benchmark) -> list[tuple[str, int, float]]:
    """Name, number of gallery images and mean average precision of each person with a scored query."""
    if score.reid is None:
        return []
    gallery_identities = benchmark.identity[(benchmark.split == GALLERY) & (benchmark.identity != NO_IDENTITY)]
    n_images = np.bincount(gallery_identities, minlength=len(benchmark.identities)).tolist()
    place = {name: number for number, name in enumerate(benchmark.identities)}
    return [(name, n_images[place[name]], value) for name, value in score.reid.by_identity.items()]


def _tracks(score: Score, benchmark: Benchmark, reference: Reference | None) -> list[dict[str, object]]:
    """The main rows and the numbers to draw for them, as fractions."""
    ends = score.intervals
    reid = score.reid
    values: dict[str, Mapping[str, float | None]] = {
        "piq": {"": score.piq}, "aspects": score.aspects, "reid": reid.values if reid else {}, "f1": score.f1
    }  # fmt: skip
    chances: dict[str, Mapping[str, float | None]] = {"reid": reid.chance if reid else {}, "f1": score.chance_f1}
    tracks = []
    for row in main_rows(score, benchmark):
        other = reference.value(row.part, row.key) if reference else None
        spans = {"piq": {"": ends.piq}, "aspects": ends.aspects, "reid": ends.reid, "f1": ends.f1} if ends else {}
        tracks.append(
            {
                "row": row,
                "name": printable(row.name, SHORT),
                "value": values[row.part].get(row.key),
                "ends": spans.get(row.part, {}).get(row.key),
                "chance": chances.get(row.part, {}).get(row.key),
                "other": other,
                "reference": "" if other is None else percent(other),
            }
        )
    return tracks


def _cmc_chart(cmc: Cmc, with_duplicates: Cmc | None) -> Chart:
    """The CMC curves: solid without near-duplicates among the candidates, dashed with them."""
    x = logarithmic(RANKS[0], RANKS[-1], WIDTH)
    y = upwards(linear(0, 1, HEIGHT))
    places = [x(rank) for rank in RANKS]
    variants = "" if with_duplicates is None else "; without near-duplicates, and with near-duplicates kept"

    def curve(name: str, values: Sequence[float], style: int, *, dashed: bool = False) -> Curve:
        return Curve(name, polyline(places, [y(value) for value in values]), style, dashed)

    curves = [curve("macro: mean over people", cmc.macro, 0), curve("plain: mean over queries", cmc.plain, 1)]
    if with_duplicates is not None:
        curves.append(curve("macro, near-duplicates kept", with_duplicates.macro, 0, dashed=True))
        curves.append(curve("plain, near-duplicates kept", with_duplicates.plain, 1, dashed=True))
    return Chart(
        text=f"CMC curve: share of queries with a correct match among the first k images, k from 1 to {RANKS[-1]}; "
        f"mean over people and mean over queries{variants}",
        x_title="rank k",
        y_title="matched queries, %",
        x_ticks=ticks(round_powers(RANKS[-1]), x),
        y_ticks=ticks(PERCENT_TICKS, upwards(linear(0, 100, HEIGHT))),
        curves=tuple(curves),
    )


def _people_chart(people: Sequence[tuple[str, int, float]]) -> Chart | None:
    """One dot per person: number of gallery images on a logarithmic x axis, average precision on the y axis."""
    if not people:
        return None
    step = -(-len(people) // MOST_DOTS)
    most = max(n for _, n, _ in people)
    x = logarithmic(1, max(2, most), WIDTH)
    y = upwards(linear(0, 1, HEIGHT))
    return Chart(
        text=f"Average precision of {len(people)} people against their number of gallery images, up to {most}",
        x_title="images of the person in the gallery",
        y_title="average precision, %",
        x_ticks=ticks(round_powers(max(2, most)), x),
        y_ticks=ticks(PERCENT_TICKS, upwards(linear(0, 100, HEIGHT))),
        dots=tuple(
            Dot(x(max(n, 1)), y(value), f"{_cell_text(name)}: {n} images, {percent(value)}")
            for name, n, value in people[::step]
        ),
    )


def _rows_of(query: RankedQuery) -> list[int]:
    return [query.row, *(neighbour.row for neighbour in query.neighbours)]


def _shown_query(query: RankedQuery, benchmark: Benchmark, pictures: Mapping[int, str]) -> dict[str, object]:
    """A query and its nearest gallery images: ids, and pictures where they can be read."""

    def image(row: int, identity: int) -> dict[str, object]:
        person = benchmark.identities[identity] if identity != NO_IDENTITY else None
        return {
            "id": printable(benchmark.images[row], NAME),
            "person": "unlabelled" if person is None else _cell_text(person),
            "picture": pictures.get(row),
        }

    return image(query.row, query.identity) | {
        "precision": percent(query.average_precision),
        "neighbours": [
            image(neighbour.row, neighbour.identity)
            | {
                "rank": neighbour.rank,
                "is_right": neighbour.is_positive,
                "is_tied": neighbour.is_tied,
                "similarity": f"{neighbour.similarity:.3f}",
            }
            for neighbour in query.neighbours
        ],
    }


def _task_table(task: Task, labels: Mapping[str, LabelScore]) -> dict[str, object]:
    """The table of a task, one row per label; only the most frequent labels if there are many."""
    shown = list(labels)
    if len(shown) > MOST_LABELS:
        shown = sorted(shown, key=lambda name: (-labels[name].support, name))[:MOST_LABELS]
    return {
        "name": _cell_text(task.name),
        "left_out": len(labels) - len(shown),
        "rows": [
            {
                "name": _cell_text(name),
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
    """A confusion matrix with each cell's count and share of its row; rare labels are merged if there are many."""
    table = np.array(counts, dtype=np.int64)
    names = [_cell_text(name) for name in task.labels]
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
    return {"task": _cell_text(task.name), "labels": names, "rows": rows}


def _range_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _cell_text(text: str) -> str:
    """Untrusted text, cut to the width of a cell."""
    return printable(text, SHORT)
