"""One classification task's array to labels, by the rules of the submission format.

Single-label: (N,) label names or indices, or (N, C) scores whose first largest wins. Multi-label: (N, C) of 0 and 1, or
probabilities in [0, 1] that mean yes from 0.5.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import numpy as np

from piq_bench.errors import Problem, first_few, quoted
from piq_bench.read.mapped import Array
from piq_bench.records import BoolArray, IntArray, Task

THRESHOLD = 0.5
N_ROWS_NAMED = 3

NameRow = Callable[[int], str]
"""From a row of the submission to "row 214 ('m07/00213.jpg')"."""


def read_labels(task: Task, values: Array, name_row: NameRow, problems: list[Problem]) -> IntArray | BoolArray | None:
    """Label indices (N,) or decisions (N, C), in the order of the submission; None if the array is refused.

    Args:
        task: of the benchmark.
        values: as submitted, with the right number of rows.
        name_row: how a message names a row.
        problems: what is wrong is added here.
    """
    n_labels = len(task.labels)
    if values.ndim == 2 and values.shape[1] != n_labels:
        found = f"{values.shape[1]} columns, the task has {n_labels} labels"
        problems.append(Problem("wrong-label-count", task.name, found, f"one column each for {_names(task)}"))
        return None
    if task.multi_label:
        return _multi_label(task, values, name_row, problems)
    if values.ndim == 2:
        return _scores(task, values, name_row, problems)
    if values.dtype.kind == "U":
        return _label_names(task, values, name_row, problems)
    if values.dtype.kind in "iu":
        return _indices(task, values, name_row, problems)
    remedy = f"label names, indices 0 to {n_labels - 1}, or scores of shape (N, {n_labels})"
    problems.append(Problem("bad-dtype", task.name, f"shape (N,) of dtype {values.dtype.str}", remedy))
    return None


def rows_with(wrong: BoolArray, name_row: NameRow, say: Callable[[int], str]) -> str:
    """The first few wrong rows, each with what it holds, and how many more."""
    rows = np.flatnonzero(wrong)
    shown = "; ".join(f"{name_row(int(row))}: {say(int(row))}" for row in rows[:N_ROWS_NAMED])
    rest = rows.size - min(rows.size, N_ROWS_NAMED)
    return shown + (f"; and {rest} more rows" if rest else "")


def not_finite(name: str, values: Array, name_row: NameRow) -> Problem | None:
    """The problem of NaN and infinite values in an (N, C) array, if there are any."""
    wrong = ~np.isfinite(values)
    if not wrong.any():
        return None

    def say(row: int) -> str:
        n_nan = int(np.isnan(values[row]).sum())
        n_infinite = int(np.isinf(values[row]).sum())
        kinds = [
            f"{n} of {values.shape[1]} values are {what}" for n, what in ((n_nan, "NaN"), (n_infinite, "Inf")) if n
        ]
        return ", ".join(kinds)

    bad = np.asarray(wrong.any(axis=1))
    return Problem("not-finite", name, rows_with(bad, name_row, say), "every value must be finite", int(bad.sum()))


def _names(task: Task) -> str:
    return ", ".join(quoted(label) for label in task.labels)


def _label_names(task: Task, values: Array, name_row: NameRow, problems: list[Problem]) -> IntArray | None:
    index = {label: i for i, label in enumerate(task.labels)}
    distinct, inverse = np.unique(values, return_inverse=True)
    codes = np.array([index.get(str(name), -1) for name in distinct], dtype=np.int64)[inverse.ravel()]
    wrong = np.asarray(codes < 0)
    if wrong.any():

        def say(row: int) -> str:
            near = get_close_matches(str(values[row]), task.labels, n=1)
            return f"got {quoted(values[row])}" + (f", did you mean {quoted(near[0])}?" if near else "")

        found = rows_with(wrong, name_row, say)
        problems.append(Problem("unknown-label", task.name, found, f"expected one of {_names(task)}", int(wrong.sum())))
        return None
    return codes


def _indices(task: Task, values: Array, name_row: NameRow, problems: list[Problem]) -> IntArray | None:
    wrong = np.asarray((values < 0) | (values >= len(task.labels)))
    if wrong.any():
        found = rows_with(wrong, name_row, lambda row: f"got index {values[row]}")
        remedy = f"expected 0 to {len(task.labels) - 1}: {_names(task)}"
        problems.append(Problem("label-out-of-range", task.name, found, remedy, int(wrong.sum())))
        return None
    return np.asarray(values, dtype=np.int64)


def _scores(task: Task, values: Array, name_row: NameRow, problems: list[Problem]) -> IntArray | None:
    if values.dtype.kind not in "fiu":
        remedy = f"float scores of shape (N, {len(task.labels)})"
        problems.append(
            Problem("bad-dtype", task.name, f"shape {tuple(values.shape)} of dtype {values.dtype.str}", remedy)
        )
        return None
    if values.dtype.kind == "f":
        problem = not_finite(task.name, values, name_row)
        if problem is not None:
            problems.append(problem)
            return None
    return np.asarray(np.argmax(values, axis=1), dtype=np.int64)


def _multi_label(task: Task, values: Array, name_row: NameRow, problems: list[Problem]) -> BoolArray | None:
    remedy = f"0 and 1, or probabilities in [0, 1], of shape (N, {len(task.labels)})"
    if values.ndim != 2 or values.dtype.kind not in "bfiu":
        found = f"shape {tuple(values.shape)} of dtype {values.dtype.str}"
        problems.append(Problem("bad-dtype", task.name, found, remedy))
        return None
    if values.dtype.kind == "b":
        return np.asarray(values, dtype=bool)
    if values.dtype.kind == "f":
        problem = not_finite(task.name, values, name_row)
        if problem is not None:
            problems.append(problem)
            return None
        wrong = (values < 0) | (values > 1)
    else:
        wrong = (values != 0) & (values != 1)
    if wrong.any():

        def say(row: int) -> str:
            column = int(np.flatnonzero(wrong[row])[0])
            return f"{quoted(task.labels[column])} is {values[row, column]}"

        bad = np.asarray(wrong.any(axis=1))
        found = rows_with(bad, name_row, say)
        problems.append(Problem("not-a-probability", task.name, found, remedy, int(bad.sum())))
        return None
    return np.asarray(values >= THRESHOLD)


def suggest(name: str, known: Sequence[str]) -> str:
    """A remedy for an array the benchmark does not know."""
    near = get_close_matches(name, known, n=1)
    listed = first_few(known, len(known), shown=20)
    return (f"did you mean {quoted(near[0])}? " if near else "") + f"known are {listed}"
