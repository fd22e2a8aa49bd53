"""Converts a submission's array for one classification task to predicted labels.

A single-label task takes label names or indices of shape (N,), or scores of shape (N, C), where the first of the
highest scores wins. A multi-label task takes an array of shape (N, C): 0 and 1, or probabilities, where 0.5 and above
means yes.
"""

from collections.abc import Callable, Sequence

import numpy as np

from piq_bench.errors import Problem, first_few, quoted
from piq_bench.read.mapped import Array
from piq_bench.read.validate import RowNamer, closest, values_found
from piq_bench.records import BoolArray, IntArray, Task

THRESHOLD = 0.5
N_ROWS_NAMED = 3


def read_labels(task: Task, values: Array, name_row: RowNamer, problems: list[Problem]) -> IntArray | BoolArray | None:
    """Label indices (N,) or decisions (N, C), in the order of the submission; None if the array is refused.

    Args:
        task: the task that the array answers.
        values: the array as submitted, with the right number of rows.
        name_row: names a row in messages.
        problems: a list to which any problem is added.
    """
    n_labels = len(task.labels)
    if values.ndim == 2 and values.shape[1] != n_labels:
        found = f"{values.shape[1]} columns, but the task has {n_labels} labels"
        remedy = f"expected one column for each of {_names(task)}"
        problems.append(Problem("wrong-label-count", task.name, found, remedy))
        return None
    if task.multi_label:
        return _multi_label(task, values, name_row, problems)
    if values.ndim == 2:
        return _scores(task, values, name_row, problems)
    if values.dtype.kind == "U":
        return _label_names(task, values, name_row, problems)
    if values.dtype.kind in "iu":
        return _indices(task, values, name_row, problems)
    remedy = f"expected label names, indices 0 to {n_labels - 1}, or scores of shape (N, {n_labels})"
    problems.append(Problem("bad-dtype", task.name, f"has shape (N,) and dtype {values.dtype.str}", remedy))
    return None


def are_scores(values: Array) -> bool:
    """Whether an array that `read_labels` accepts has a score for each label rather than decisions."""
    return values.ndim == 2 and values.dtype.kind == "f"


def rows_with(wrong: BoolArray, name_row: RowNamer, row_fault: Callable[[int], str]) -> str:
    """Names the first few wrong rows, each with its fault, and says how many more there are."""
    rows = np.flatnonzero(wrong)
    shown = "; ".join(f"{name_row(int(row))}: {row_fault(int(row))}" for row in rows[:N_ROWS_NAMED])
    rest = rows.size - min(rows.size, N_ROWS_NAMED)
    return shown + (f"; and {rest} more rows" if rest else "")


def not_finite(name: str, values: Array, name_row: RowNamer) -> Problem | None:
    """The problem of NaN and infinite values in an array of shape (N, C); None if there are none."""
    wrong = ~np.isfinite(values)
    if not wrong.any():
        return None

    def row_fault(row: int) -> str:
        n_nan = int(np.isnan(values[row]).sum())
        n_infinite = int(np.isinf(values[row]).sum())
        counts = [
            f"{n} of {values.shape[1]} values are {kind}" for n, kind in ((n_nan, "NaN"), (n_infinite, "Inf")) if n
        ]
        return ", ".join(counts)

    bad = np.asarray(wrong.any(axis=1))
    found = rows_with(bad, name_row, row_fault)
    return Problem("not-finite", name, found, "every value must be finite", int(bad.sum()))


def _names(task: Task) -> str:
    return ", ".join(quoted(label) for label in task.labels)


def _label_names(task: Task, values: Array, name_row: RowNamer, problems: list[Problem]) -> IntArray | None:
    index = {label: i for i, label in enumerate(task.labels)}
    distinct, first, inverse, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    codes = np.array([index.get(str(name), -1) for name in distinct], dtype=np.int64)
    wrong = np.asarray(codes < 0)
    if wrong.any():

        def fault(name: str) -> str:
            near = closest(name, task.labels)
            return "unknown label" + (f", did you mean {quoted(near)}?" if near is not None else "")

        names = [str(name) for name in distinct[wrong]]
        n_rows = dict(zip(names, counts[wrong].tolist(), strict=True))
        found = values_found(n_rows, dict(zip(names, first[wrong].tolist(), strict=True)), name_row, fault)
        remedy = f"expected one of {_names(task)}{_spelling_repair(distinct, task)}"
        problems.append(Problem("unknown-label", task.name, found, remedy, int(counts[wrong].sum())))
        return None
    return codes[inverse.ravel()]


def _spelling_repair(values: Array, task: Task) -> str:
    """The line of Python that makes all values labels of the task, if only blanks and capitals stand in the way."""
    texts = [str(value) for value in values]
    if {text.strip() for text in texts} <= set(task.labels):
        return ": numpy.char.strip(labels)"
    if {text.strip().lower() for text in texts} <= set(task.labels):
        return ": numpy.char.lower(numpy.char.strip(labels))"
    return ""


def _indices(task: Task, values: Array, name_row: RowNamer, problems: list[Problem]) -> IntArray | None:
    wrong = np.asarray((values < 0) | (values >= len(task.labels)))
    if wrong.any():
        distinct, first, counts = np.unique(values[wrong], return_index=True, return_counts=True)
        names = [str(index) for index in distinct]
        n_rows = dict(zip(names, counts.tolist(), strict=True))
        rows = np.flatnonzero(wrong)[first].tolist()
        found = values_found(n_rows, dict(zip(names, rows, strict=True)), name_row, lambda name: "no index of a label")
        remedy = f"expected 0 to {len(task.labels) - 1}: {_names(task)}"
        problems.append(Problem("label-out-of-range", task.name, found, remedy, int(wrong.sum())))
        return None
    return np.asarray(values, dtype=np.int64)


def _scores(task: Task, values: Array, name_row: RowNamer, problems: list[Problem]) -> IntArray | None:
    if values.dtype.kind not in "fiu":
        remedy = f"expected float scores of shape (N, {len(task.labels)})"
        found = f"has shape {tuple(values.shape)} and dtype {values.dtype.str}"
        problems.append(Problem("bad-dtype", task.name, found, remedy))
        return None
    if values.dtype.kind == "f":
        problem = not_finite(task.name, values, name_row)
        if problem is not None:
            problems.append(problem)
            return None
    return np.asarray(np.argmax(values, axis=1), dtype=np.int64)


def _multi_label(task: Task, values: Array, name_row: RowNamer, problems: list[Problem]) -> BoolArray | None:
    remedy = f"expected 0 and 1, or probabilities in [0, 1], of shape (N, {len(task.labels)})"
    if values.ndim != 2 or values.dtype.kind not in "bfiu":
        found = f"has shape {tuple(values.shape)} and dtype {values.dtype.str}"
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

        def row_fault(row: int) -> str:
            column = int(np.flatnonzero(wrong[row])[0])
            return f"{quoted(task.labels[column])} is {values[row, column]}"

        bad = np.asarray(wrong.any(axis=1))
        if values.dtype.kind == "f":
            remedy += "; logits become probabilities by 1 / (1 + numpy.exp(-logits))"
        found = rows_with(bad, name_row, row_fault)
        problems.append(Problem("not-a-probability", task.name, found, remedy, int(bad.sum())))
        return None
    return np.asarray(values >= THRESHOLD)


def suggest(name: str, known: Sequence[str]) -> str:
    """The remedy for an array that the benchmark does not know: the name it probably misspells, and all known names."""
    near = closest(name, known)
    listed = first_few(known, len(known), shown=20)
    return (f"did you mean {quoted(near)}? " if near is not None else "") + f"the arrays are {listed}"
