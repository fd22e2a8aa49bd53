"""Writes a Score as one HTML page that loads nothing, needs no scripts, prints well and has a dark mode.

Untrusted text is cut here and escaped by the template. The caller removes what the level of disclosure hides from the
score and from the drill-down.
"""

from collections.abc import Mapping

import numpy as np

from piq_bench import __version__
from piq_bench.errors import printable
from piq_bench.records import GALLERY, NO_IDENTITY, Benchmark, Task
from piq_bench.report.html import render
from piq_bench.report.json import digest_of
from piq_bench.report.lost_points import points_lost
from piq_bench.report.reference import Reference
from piq_bench.report.rows import (
    ATTRIBUTE_METRICS,
    attribute_rows,
    fact,
    is_reid_alone,
    left_out_lines,
    main_rows,
    metric_rows,
    percent,
    summary,
)
from piq_bench.report.score_charts import cmc_chart, histogram_chart, label_chart, people_chart
from piq_bench.report.score_pictures import shown_mistake, shown_query, shown_rows
from piq_bench.report.score_tables import SHORT, camera_table, cell_text, matrix, pair_rows, task_table
from piq_bench.report.thumbnails import thumbnails, why_missing
from piq_bench.scoring.drilldown import Drilldown
from piq_bench.scoring.people import RANKS
from piq_bench.scoring.records import Score

N_LOSSES = 12
N_IMPROVEMENTS = 16
MOST_CURVES = 12  # charts of labels of a task, the most frequent labels
NAME = 120  # characters of an untrusted name
SAME = 1e-9  # numbers that differ by no more are equal: sums are rounded
NOTHING = Drilldown((), None, None, (), (), ())
CONTENTS = (  # name of a section's variable in the template, and its title
    ("rows", "Scores"),
    ("notes", "Notes"),
    ("improvements", "PIQ if one part were perfect"),
    ("losses", "Where PIQ loses points"),
    ("metrics", "Re-identification"),
    ("queries", "Worst and best queries"),
    ("attributes", "Attributes"),
    ("mistakes", "Wrong answers"),
    ("tasks", "Labels"),
    ("matrices", "Confusion matrices"),
)


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
    closer = drilldown or NOTHING
    losses = points_lost(score, benchmark)
    ends = score.intervals
    images = list(dict.fromkeys(shown_rows(closer)))
    pictures = thumbnails(benchmark, images)
    tasks = [task for task in benchmark.tasks if task.name in score.labels]
    mistakes = {
        task.name: [shown_mistake(one, benchmark, pictures) for one in closer.mistakes if one.task == task.name]
        for task in tasks
    }
    attributes = attribute_rows(score)
    used = [i for i in range(len(ATTRIBUTE_METRICS)) if any(row.cells[i] for row in attributes)]  # columns with a value
    shown = {
        "rows": _tracks(score, benchmark, reference),
        "notes": [printable(note, 1000) for note in score.notes],
        "improvements": _improvements(closer),
        "losses": losses[:N_LOSSES],
        "metrics": metric_rows(score),
        "queries": [
            (title, [shown_query(query, benchmark, pictures) for query in extremes])
            for title, extremes in (("Worst", closer.worst), ("Best", closer.best))
            if extremes
        ],
        "attributes": [(cell_text(row.task), [row.cells[i] for i in used]) for row in attributes],
        "mistakes": [(cell_text(task), own) for task, own in mistakes.items() if own],
        "tasks": [_task(task, score, closer) for task in tasks],
        "matrices": [matrix(task, score.confusion[task.name]) for task in tasks if task.name in score.confusion],
    }
    is_alone = is_reid_alone(benchmark)
    return render(
        "score.html",
        **shown,
        contents=[(name, title) for name, title in CONTENTS if shown[name]],
        warnings=[printable(text, 1000) for text in _warnings(score, closer)],
        name=printable(score.submission["name"], NAME),
        headline=[row for row in main_rows(score, benchmark) if row.level == 0],
        level=f"{100 * ends.level:g}%" if ends else "",
        facts=[(term, fact(term, text, NAME)) for term, text in summary(score)],
        reference=printable(reference.name, SHORT) if reference else None,
        guesses=bool(score.chance_f1) or bool(score.reid and score.reid.chance),
        most_lost=max((loss.points for loss in losses), default=1.0) or 1.0,
        plain_first=is_alone,
        with_duplicates=score.reid is not None and score.reid.without_exclusion is not None,
        cmc=cmc_chart(closer.cmc, closer.cmc_with_duplicates, reference, plain_first=is_alone) if closer.cmc else None,
        few_ranks=reference is not None and any(len(values) < len(RANKS) for values in reference.cmc.values()),
        histogram=closer.histogram,
        histogram_chart=histogram_chart(closer.histogram) if closer.histogram else None,
        above_median=percent(closer.histogram.above_median) if closer.histogram else "",
        cameras=camera_table(closer.cameras) if closer.cameras else None,
        people=people_chart(people_of(score, benchmark)),
        sizes=[
            (_range_text(size.fewest, size.most), size.people, percent(size.average_precision), size.average_precision)
            for size in closer.sizes
        ],
        attribute_metrics=[ATTRIBUTE_METRICS[i] for i in used],
        left_out=[printable(line, 1000) for line in left_out_lines(score)],
        no_pictures=why_missing(benchmark, images, pictures),
        digest=digest or digest_of(score),
        engine=score.engine,
        version=__version__,
    )


def people_of(score: Score, benchmark: Benchmark) -> list[tuple[str, int, float]]:
    """Name, number of gallery images and mean average precision of each person with a scored query."""
    if score.reid is None:
        return []
    gallery_identities = benchmark.identity[(benchmark.split == GALLERY) & (benchmark.identity != NO_IDENTITY)]
    n_images = np.bincount(gallery_identities, minlength=len(benchmark.identities)).tolist()
    place = {name: number for number, name in enumerate(benchmark.identities)}
    return [(name, n_images[place[name]], value) for name, value in score.reid.by_identity.items()]


def _warnings(score: Score, drilldown: Drilldown) -> list[str]:
    """What looks like a mistake of the submission; on the page alone, since the notes of a score are in its digest."""
    texts = []
    for rows, where in ((1, "after"), (-1, "before")):
        rises = [
            f"{shift.metric} of {shift.task} from {percent(shift.before)} to {percent(shift.after)}"
            for shift in drilldown.shifts
            if shift.rows == rows
        ]
        if rises:
            texts.append(
                f"Rows look shifted: if every image had the row {where} its own, scores would rise: {'; '.join(rises)}."
                " Check that ids and rows were written in the same order. (mAP: on a sample of queries and images.)"
            )
    chance = score.reid.chance.get("macro_map") if score.reid else None
    value = score.reid.values.get("macro_map") if score.reid else None
    if chance is not None and value is not None:
        ends = score.intervals.reid.get("macro_map") if score.intervals else None
        if (ends[0] if ends else value) <= chance + SAME:
            texts.append(
                f"The embedding is near chance: {'the interval of ' if ends else ''}its macro mAP, {percent(value)}, "
                f"reaches down to the {percent(chance)} of a constant embedding. Check that ids and rows belong "
                "together, and that the network had its weights."
            )
    return texts


def _improvements(drilldown: Drilldown) -> list[dict[str, object]]:
    most = max((one.gain for one in drilldown.improvements), default=0.0)
    return [
        {
            "cause": printable(improvement.cause, 2 * SHORT),
            "definition": printable(improvement.definition, 200),
            "piq": percent(improvement.piq),
            "gain": f"{100 * improvement.gain:+.2f}",
            "share": improvement.gain / max(most, 1e-12),
        }
        for improvement in drilldown.improvements[:N_IMPROVEMENTS]
    ]


def _task(task: Task, score: Score, drilldown: Drilldown) -> dict[str, object]:
    """The table of a task's labels, charts of the most frequent ones, and confusions by pairs."""
    labels = score.labels[task.name]
    curves = [curve for curve in drilldown.curves if curve.task == task.name]
    frequent = sorted(curves, key=lambda curve: -labels[curve.label].support)[:MOST_CURVES]
    return task_table(task, labels, {curve.label: curve.best_f1 for curve in curves}) | {
        "charts": [
            (
                cell_text(curve.label),
                label_chart(curve, labels[curve.label]),
                percent(labels[curve.label].f1),
                percent(curve.best_f1),
                f"{curve.best_threshold:.4g}",
            )
            for curve in frequent
        ],
        "pairs": pair_rows(drilldown.pairs, task.name),
    }


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


def _range_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
