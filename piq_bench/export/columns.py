"""Derives the columns of a leaderboard from a benchmark's tasks, and a submission's numbers for them.

The configuration of a host and the numbers of a submission come from the same list, so that they always match. Hosts
show numbers as they are, so that fractions become per cent here, as in `report`.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from piq_bench.errors import BadDataset, Problem, printable
from piq_bench.records import RETRIEVAL, Benchmark
from piq_bench.scoring.records import Interval, Score

MAX_KEY = 36  # characters; Codabench cuts or refuses longer ones
PER_CENT = 100.0
RANK1, MAP = "macro_rank1", "macro_map"
TITLES = {RANK1: "macro Rank-1", MAP: "macro mAP"}  # never "mAP" alone, which is the mean over queries


@dataclass(frozen=True)
class Column:
    """One number of a leaderboard; higher is better in all of them.

    Attributes:
        key: unique name in files; at most MAX_KEY characters.
        title: heading that people see; at most MAX_KEY characters.
        description: one sentence that explains the number.
        part: part of the score file that holds the number: "piq", "reid" or "f1".
        name: name of the number in that part.
    """

    key: str
    title: str
    description: str
    part: Literal["piq", "reid", "f1"]
    name: str


def columns_of(benchmark: Benchmark) -> tuple[Column, ...]:
    """All columns; PIQ comes first, since hosts rank by the first column.

    >>> from piq_bench.api import make_benchmark
    >>> columns = {"image": ["a", "b"], "split": ["query", "gallery"], "identity": ["p", "p"], "age": ["old", "old"]}
    >>> from piq_bench.records import Task
    >>> tasks = [Task("reid", "reid", kind="retrieval"), Task("age", "body", labels=("young", "old"))]
    >>> [column.key for column in columns_of(make_benchmark(columns, tasks))]
    ['piq', 'reid_macro_rank1', 'reid_macro_map', 'age_f1']
    """
    columns = [Column("piq", "PIQ", "Mean score over the aspects of the benchmark.", "piq", "piq")]
    for task in benchmark.tasks:
        if task.kind == RETRIEVAL:
            for name in (RANK1, MAP):
                metric = TITLES[name].removeprefix("macro ")
                text = f"{metric}, averaged over the queries of each person, then over people."
                columns.append(Column(key_of("reid", name), _title(task.name, TITLES[name]), text, "reid", name))
        else:
            text = f"Macro F1 of {task.name}: mean over the labels that occur."
            columns.append(Column(key_of("f1", task.name), _title(task.name, "F1"), text, "f1", task.name))
    return tuple(columns)


def key_of(part: str, name: str) -> str:
    """The key of a number, such as "reid_macro_map" or "age_f1"; a long task name is cut and ends in its hash.

    Args:
        part: part of the score file: "reid" or "f1".
        name: name of the number in that part.
    """
    if part == "reid":
        return f"reid_{name}"
    room = MAX_KEY - len("_f1")
    if len(name) > room:
        name = f"{name[: room - 7]}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return f"{name}_f1"


def row_of(score: Score, columns: Sequence[Column]) -> dict[str, float]:
    """The numbers of a submission by key, in per cent.

    Raises:
        BadDataset: if a number is undefined; a host would show a gap and might rank it first.
    """
    values = {column: _value(score, column) for column in columns}
    missing = [column.key for column, value in values.items() if value is None or not math.isfinite(value)]
    if missing:
        remedy = "annotations for every task, and queries with a positive in the gallery"
        raise BadDataset("data set", [Problem("undefined", key, "is undefined", remedy) for key in missing])
    return {column.key: PER_CENT * float(value or 0.0) for column, value in values.items()}


def half_widths(score: Score, columns: Sequence[Column]) -> dict[str, float] | None:
    """Half the width of each column's interval by key, in per cent; None unless every column has an interval."""
    found = {column.key: interval_of(score, column) for column in columns}
    if any(ends is None for ends in found.values()):
        return None
    return {key: PER_CENT * (ends[1] - ends[0]) / 2 for key, ends in found.items() if ends is not None}


def interval_of(score: Score, column: Column) -> Interval:
    """The ends of a column's interval, as fractions; None if it has no interval."""
    ends = score.intervals
    if ends is None:
        return None
    if column.part == "piq":
        return ends.piq
    return (ends.reid if column.part == "reid" else ends.f1).get(column.name)


def _title(task: str, metric: str) -> str:
    """A heading of at most MAX_KEY characters: a long name of the task is cut, never the metric's."""
    return f"{printable(task, MAX_KEY - len(metric) - 1)} {metric}"


def _value(score: Score, column: Column) -> float | None:
    if column.part == "piq":
        return score.piq
    if column.part == "reid":
        return None if score.reid is None else score.reid.values.get(column.name)
    return score.f1.get(column.name)
