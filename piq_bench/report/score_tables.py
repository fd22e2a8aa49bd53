"""Makes the tables of a score's page: labels of a task, confusion matrices, pairs of labels, pairs of cameras."""

from collections.abc import Mapping, Sequence

import numpy as np

from piq_bench.errors import printable
from piq_bench.records import Task
from piq_bench.report.rows import percent
from piq_bench.scoring.label_faults import LabelPair
from piq_bench.scoring.pair_samples import CameraPairs
from piq_bench.scoring.records import LabelScore

SHORT = 40  # characters of an untrusted name in a cell
MOST_LABELS = 60  # rows in the table of a task, the most frequent labels
MOST_IN_MATRIX = 24  # rows and columns of a confusion matrix; the last one sums up the remaining labels


def task_table(task: Task, labels: Mapping[str, LabelScore], best: Mapping[str, float]) -> dict[str, object]:
    """The table of a task, one row per label; only the most frequent labels if there are many.

    Args:
        task: the task.
        labels: score of each label.
        best: by label, the F1 of its best threshold; empty if that is not known.
    """
    shown = list(labels)
    if len(shown) > MOST_LABELS:
        shown = sorted(shown, key=lambda name: (-labels[name].support, name))[:MOST_LABELS]
    return {
        "name": cell_text(task.name),
        "left_out": len(labels) - len(shown),
        "has_best": bool(best),
        "rows": [
            {
                "name": cell_text(name),
                "best": percent(best[name]) if name in best else "",
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


def matrix(task: Task, counts: Sequence[Sequence[int]]) -> dict[str, object]:
    """A confusion matrix with each cell's count and share of its row; rare labels are merged if there are many."""
    table = np.array(counts, dtype=np.int64)
    names = [cell_text(name) for name in task.labels]
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
        rows.append(
            (
                name,
                total,
                [(count, count / total if total else 0.0, percent(count / total if total else None)) for count in row],
            )
        )
    return {"task": cell_text(task.name), "labels": names, "rows": rows}


def pair_rows(pairs: Sequence[LabelPair], task: str) -> list[tuple[str, str, int, str]]:
    """Missed label, label given instead, number of images and their share of those that have the missed label."""
    return [
        (cell_text(pair.missed), cell_text(pair.given), pair.images, percent(pair.share))
        for pair in pairs
        if pair.task == task
    ]


def camera_table(cameras: CameraPairs) -> dict[str, object]:
    """Mean average precision by camera of the query (rows) and of the gallery (columns), and numbers of queries."""
    names = [cell_text(name) for name in cameras.cameras]
    return {
        "cameras": names,
        "rows": [
            (name, [(percent(value), value or 0.0, count) for value, count in zip(values, counts, strict=True)])
            for name, values, counts in zip(names, cameras.values, cameras.counts, strict=True)
        ],
        "queries": cameras.n_queries,
        "scored": cameras.n_scored,
    }


def cell_text(text: str) -> str:
    """Untrusted text, cut to the width of a cell."""
    return printable(text, SHORT)
