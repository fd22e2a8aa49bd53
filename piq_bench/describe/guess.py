"""Guesses which columns of a table are tasks, with which labels; every guess is one that benchmark.toml may hold."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np

from piq_bench.errors import first_few, quoted
from piq_bench.limits import MAX_TASKS
from piq_bench.read.annotations import EMPTY_SET, LABEL_SEPARATOR, RESERVED
from piq_bench.read.column import Column
from piq_bench.read.dataset import MAX_INFERRED_LABELS
from piq_bench.read.identity_names import MISSING
from piq_bench.read.rules import EXPECTED
from piq_bench.read.table import Table
from piq_bench.read.validate import text_fault
from piq_bench.read.vocabulary import DEFAULT_TASKS, RESERVED_NAMES, TASK_NAME
from piq_bench.records import Task

REID = Task("reid", "reid", kind="retrieval")
ASPECT = "attributes"  # of a task that is none of Portrait250K's
MANY_LABELS = 50  # a column with more distinct values holds names or measurements rather than labels
FEW_LABELS = 10  # so few values may be labels even if each is rare
OTHER_SEPARATORS = (";", ",", "/", "+")
NO_LABEL = MISSING | {"?"}  # values that often mean "not annotated"


@dataclass(frozen=True)
class Guess:
    """What a column of the table probably is.

    Attributes:
        column: its name.
        task: the task; None if it is no task.
        remark: why it is no task, or what to check; may be empty.
    """

    column: str
    task: Task | None
    remark: str = ""


def guesses_of(table: Table) -> list[Guess]:
    """What each column without a fixed meaning is; no two tasks differ only in case, and there are not too many."""
    guesses: list[Guess] = []
    taken = {REID.name}
    for name in dict.fromkeys((*table.columns, *table.untyped)):
        if name in RESERVED:
            continue
        guess = Guess(name, None, "is neither text nor whole numbers") if name in table.untyped else None
        guess = guess or _guess(name, table.columns[name])
        if guess.task is not None and (name.casefold() in taken or len(taken) == MAX_TASKS):
            why = "has the name of another task" if name.casefold() in taken else f"is one of more than {MAX_TASKS}"
            guess = Guess(name, None, why)
        if guess.task is not None:
            taken.add(name.casefold())
        guesses.append(guess)
    return guesses


def _guess(name: str, column: Column) -> Guess:
    if name in EXPECTED:
        return Guess(name, None, "decides who is a candidate: see [retrieval]")
    if name in RESERVED_NAMES or not TASK_NAME.fullmatch(name):
        return Guess(name, None, "has a name that no task may have: a letter, then letters, digits and '_'")
    cells = column.distinct - {""}
    multi_label = any(cell == EMPTY_SET or LABEL_SEPARATOR in cell for cell in cells)
    labels = {label for cell in cells for label in cell.split(LABEL_SEPARATOR)} if multi_label else set(cells)
    labels -= {"", EMPTY_SET}
    n_annotated = int(np.count_nonzero(column.rows() != ""))
    if (why := _why_no_task(labels, n_annotated, multi_label=multi_label)) is not None:
        return Guess(name, None, why)
    separator = None if multi_label else _other_separator(cells)
    if separator is not None:
        example = next(cell for cell in sorted(cells) if separator in cell)
        return Guess(name, None, f"joins labels by {separator!r}, as in {quoted(example)}: join them by '|' instead")
    known = next((task for task in DEFAULT_TASKS if task.name == name.casefold()), None)
    ordered = _ordered(labels)
    if known is not None and labels <= set(known.labels) and known.multi_label >= multi_label:
        ordered, multi_label = list(known.labels), known.multi_label
    unlabelled = sorted(label for label in labels if label.casefold() in NO_LABEL)
    remark = f"{listed(unlabelled)} counts as a label; leave cells empty that are not annotated" if unlabelled else ""
    aspect = ASPECT if known is None else known.aspect
    return Guess(name, Task(name, aspect, labels=tuple(ordered), multi_label=multi_label), remark)


def _why_no_task(labels: set[str], n_annotated: int, *, multi_label: bool) -> str | None:
    """Why the values of a column are no labels; None if they may be."""
    n = len(labels)
    if n < (1 if multi_label else 2):
        return "has no labels" if n == 0 else "has the same value everywhere"
    if n > MAX_INFERRED_LABELS or (n > MANY_LABELS and n_annotated < 10 * n):
        return f"has {n} different values in {n_annotated} rows: names or numbers rather than labels"
    if n_annotated < 2 * n and (n > FEW_LABELS or n_annotated <= n) and not multi_label:
        return f"has {n} different values in {n_annotated} rows, too few of each to be labels"
    for label in sorted(labels):
        if (fault := text_fault(label)) is not None:
            return f"holds {quoted(label)}: {fault}"
    if n > FEW_LABELS and all(_is_number(label) for label in labels):
        return f"holds {n} different numbers: a measurement; make classes of it to score it"
    return None


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()


def _other_separator(cells: Set[str]) -> str | None:
    """What joins several labels in a cell, if that is another character than ours."""
    for separator in OTHER_SEPARATORS:
        parts = {part.strip() for cell in cells if separator in cell for part in cell.split(separator)}
        alone = {cell.strip() for cell in cells if separator not in cell}
        n_joined = sum(separator in cell for cell in cells)
        if len(parts & alone) > 1 or n_joined > max(len(parts), 2):  # they occur alone too, or in many combinations
            return separator
    return None


def _ordered(labels: set[str]) -> list[str]:
    numbers = all(label.isascii() and label.isdecimal() for label in labels)
    return sorted(labels, key=lambda label: (int(label), label)) if numbers else sorted(labels)


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    return first_few(names, len(names))
