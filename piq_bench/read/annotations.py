"""Converts an annotation table from text to label indices, following a benchmark's tasks.

An empty cell means not annotated, in the column `identity` unlabelled; in a multi-label column "-" is the annotated
empty set. Columns other than the tasks and RESERVED are ignored, but one that looks like a misspelt missing column is
refused, since its labels would silently be lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import LimitExceeded, Problem, first_few, quoted
from piq_bench.limits import most_bytes
from piq_bench.read.column import Column
from piq_bench.read.rows import Rows, index_identities
from piq_bench.read.table import Table
from piq_bench.read.validate import (
    MAX_EXPECTED,
    MIN_NAME_SIMILARITY,
    RowNamer,
    are_plain,
    closest,
    expected,
    image_problems,
    repeat_problems,
    text_fault,
    values_problems,
)
from piq_bench.records import CLASSIFICATION, NOT_ANNOTATED, RETRIEVAL, SPLITS, IntArray, Task

RESERVED = ("image", "split", "identity", "source", "sequence", "camera")
FREE_TEXT = ("identity", "source", "sequence", "camera")
LABEL_SEPARATOR = "|"
EMPTY_SET = "-"
UNKNOWN_SPLIT = -1
DECISION_BYTES = 2  # 8 in memory, but most tables take far less than they may
MAX_SORT_BYTES = 512 << 20  # memory for a copy of the image ids that sorts faster
MAX_COMPARED = 100_000  # pairs of names that are searched for a misspelt one
UNNAMED = "; a column has no name"
TEXT_REMEDY = "printable text without spaces at its ends"


@dataclass(frozen=True, eq=False)
class ParsedTable:
    """The content of an annotation table.

    Attributes:
        rows: None if a column is missing that every row needs, or if there are no rows.
        problems: what is wrong with columns and single rows.
        unused: names of the columns that are ignored.
    """

    rows: Rows | None
    problems: list[Problem]
    unused: tuple[str, ...]


def parse_table(table: Table, tasks: Sequence[Task], *, need_labels: bool, need_split: bool = True) -> ParsedTable:
    """Check an annotation table and convert its text to label indices.

    Args:
        table: the table as read from its file.
        tasks: the tasks of the benchmark.
        need_labels: whether the columns of the tasks, including `identity`, are required.
        need_split: whether the column `split` is required; without it all images are in train.

    Raises:
        LimitExceeded: if it would take far more memory than its size lets expect.
    """
    required: tuple[str, ...] = ("image", "split") if need_split else ("image",)
    if need_labels:
        required += tuple("identity" if task.kind == RETRIEVAL else task.name for task in tasks)
    meaningful = dict.fromkeys((*RESERVED, *(task.name for task in tasks if task.kind == CLASSIFICATION)))
    problems, unused = _column_problems(table, required, tuple(meaningful))
    if "image" not in table.columns or (need_split and "split" not in table.columns):
        return ParsedTable(None, problems, unused)
    if table.n_rows == 0:
        problems.append(Problem("no-rows", table.file, "has a header but no rows", "expected one row per image"))
        return ParsedTable(None, problems, unused)

    _check_decisions(table, tasks)
    image = table.columns["image"].rows()
    columns = {name: table.columns[name] for name in meaningful if name in table.columns}
    further = {name: table.columns[name] for name in unused if name in table.columns}
    order: IntArray | None = None
    if not (image[:-1] <= image[1:]).all():
        order = _sorted_order(image)
        image = image[order]
        columns = {name: column.reordered(order) for name, column in columns.items()}
        further = {name: column.reordered(order) for name, column in further.items()}

    def row_name(row: int) -> str:
        return f"{table.place(row if order is None else int(order[row]))} ({quoted(image[row])})"

    problems += image_problems(table.file, image, row_name)
    split = _split(table.file, columns.get("split"), table.n_rows, row_name, problems)
    problems += repeat_problems(table.file, image, split, row_name)
    for name in FREE_TEXT:
        if name in columns:
            problems += _free_text_problems(f"{table.file}: {name}", columns[name], row_name)
    empty = Column.empty(table.n_rows)
    labels = {}
    for task in tasks:
        if task.kind == CLASSIFICATION:
            column = columns.get(task.name, empty)
            parse = _multi_label if task.multi_label else _single_label
            labels[task.name] = parse(f"{table.file}: {task.name}", column, task, row_name, problems)
    identity, identities = index_identities(columns.get("identity", empty))
    all_false = np.zeros(table.n_rows, dtype=np.bool_)
    source, sequence, camera = (columns[name].rows() if name in columns else None for name in FREE_TEXT[1:])
    rows = Rows(
        images=image,
        split=split,
        identity=identity,
        identities=identities,
        labels=labels,
        junk=all_false,
        distractor=all_false.copy(),
        source=source,
        sequence=sequence,
        camera=camera,
        row_name=row_name,
        columns={name: further[name].rows() for name in sorted(further)},
    )
    return ParsedTable(rows, problems, unused)


def _check_decisions(table: Table, tasks: Sequence[Task]) -> None:
    """Refuse a table that would become far more decisions than it has bytes: one of each row and label."""
    n_decisions = table.n_rows * sum(len(task.labels) for task in tasks if task.multi_label)
    most = most_bytes(table.n_bytes) // DECISION_BYTES
    if n_decisions > most:
        found = f"{table.n_rows} rows have {n_decisions} decisions on labels, more than a table of its size should"
        remedy = f"at most {most} decisions; define fewer labels"
        raise LimitExceeded(table.file, [Problem("too-large", table.file, found, remedy)])


def _sorted_order(images: NDArray[np.object_]) -> IntArray:
    """Row indices in ascending order of image id, by code point; rows of equal ids keep their order."""
    n_bytes = images.size * max(map(len, images)) * np.dtype("U1").itemsize
    # Contiguous characters are compared twice as fast as Python objects scattered over memory.
    return np.argsort(images.astype(np.str_) if n_bytes <= MAX_SORT_BYTES else images, kind="stable")


def _column_problems(
    table: Table, required: Sequence[str], meaningful: Sequence[str]
) -> tuple[list[Problem], tuple[str, ...]]:
    """Problems of missing and misspelt columns, and the names of the columns that are ignored."""
    present = [*table.columns, *table.untyped]
    unused = [name for name in present if name not in meaningful]
    absent = [name for name in meaningful if name not in present]
    compared = absent if len(unused) * len(absent) <= MAX_COMPARED else []
    misspelt = {name: meant for name in unused if (meant := closest(name, compared, MIN_NAME_SIMILARITY)) is not None}
    problems = [problem for name, problem in table.untyped.items() if name in meaningful]
    for name in dict.fromkeys(required):
        if name in absent and name not in misspelt.values():
            found = f"there is no column {quoted(name)}" + (UNNAMED if name == "image" and table.notes else "")
            remedy = f"the required columns are {first_few(required, len(required), MAX_EXPECTED)}"
            problems.append(Problem("missing-column", table.file, found, remedy))
    for name, meant in misspelt.items():
        found = f"column {quoted(name)} is unknown, and there is no column {quoted(meant)}"
        remedy = f"call it {quoted(meant)}, or choose a less similar name if it is something else"
        problems.append(Problem("unknown-column", table.file, found, remedy))
    return problems, tuple(name for name in unused if name not in misspelt)


def _split(file: str, column: Column | None, n_rows: int, row_name: RowNamer, problems: list[Problem]) -> IntArray:
    if column is None:
        return np.zeros(n_rows, dtype=np.int64)
    faults = {name: f"expected {expected(name, SPLITS)}" for name in column.distinct - set(SPLITS)}
    remedy = "train, query or gallery (query and gallery together are the test set)"
    problems += values_problems("unknown-split", f"{file}: split", column, faults, row_name, remedy)
    number = {name: SPLITS.index(name) if name in SPLITS else UNKNOWN_SPLIT for name in column.distinct}
    return column.to_numbers(number)


def _free_text_problems(where: str, column: Column, row_name: RowNamer) -> list[Problem]:
    if are_plain(column.texts):
        return []
    faults = {value: fault for value in column.distinct if (fault := text_fault(value)) is not None}
    return values_problems("bad-text", where, column, faults, row_name, TEXT_REMEDY)


def _single_label(where: str, column: Column, task: Task, row_name: RowNamer, problems: list[Problem]) -> IntArray:
    number = {name: index for index, name in enumerate(task.labels)} | {"": NOT_ANNOTATED}
    faults = {}
    for value in column.distinct - set(number):
        faults[value] = "this task takes a single label" if LABEL_SEPARATOR in value else "unknown label"
        number[value] = NOT_ANNOTATED
    problems += _label_problems(where, column, task, faults, row_name)
    return column.to_numbers(number)


def _multi_label(where: str, column: Column, task: Task, row_name: RowNamer, problems: list[Problem]) -> IntArray:
    values = sorted(column.distinct)
    place = {name: index for index, name in enumerate(task.labels)}
    decisions = np.zeros((len(values), len(task.labels)), dtype=np.int8)  # one row per distinct cell
    faults = {}
    for row, value in zip(decisions, values, strict=True):
        names = value.split(LABEL_SEPARATOR)
        if value == "":
            row[:] = NOT_ANNOTATED
        elif EMPTY_SET in names and len(names) > 1:
            faults[value] = "'-' cannot be combined with labels"
        elif "" in names:
            faults[value] = "the label before or after a '|' is missing"
        elif len(set(names)) < len(names):
            faults[value] = "a label occurs twice"
        elif value != EMPTY_SET:
            known = [place[name] for name in names if name in place]
            if len(known) < len(names):
                faults[value] = "unknown label"
            row[known] = 1
    problems += _label_problems(where, column, task, faults, row_name)
    number = {value: index for index, value in enumerate(values)}
    return decisions[column.to_numbers(number)].astype(np.int64)


def _label_problems(
    where: str, column: Column, task: Task, faults: dict[str, str], row_name: RowNamer
) -> list[Problem]:
    if not faults:
        return []
    first = min(faults)
    wrong = [name for name in first.split(LABEL_SEPARATOR) if name not in task.labels] or [first]
    form = f", or several joined by '|', or '{EMPTY_SET}' if none applies" if task.multi_label else ""
    remedy = f"{expected(wrong[0], task.labels)}{form}; leave it empty if not annotated"
    return values_problems("bad-label", where, column, faults, row_name, remedy)
