"""A table of labels to rows in numbers, by the vocabulary of a benchmark.

In comes text, out come indices. An empty cell means not annotated (of `identity`: unlabelled); in a multi-label column
"-" is the annotated empty set. Column names other than the tasks and RESERVED have no meaning here, and one that is
nearly the name of a missing column is refused: it would be lost without a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import Problem, quoted
from piq_bench.read.column import Column
from piq_bench.read.rows import Rows, numbered_identities
from piq_bench.read.table import Table
from piq_bench.read.validate import (
    Place,
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
SORT_BYTES = 512 << 20
NEAR_NAME = 0.75  # "Gender" and "expresion" are slips, "quality" is no slip of "identity"
NO_TEXT_FAULT = "plain text without blanks around it"


@dataclass(frozen=True, eq=False)
class ParsedTable:
    """What a table says.

    Attributes:
        rows: None if a column is missing without which there are none.
        problems: broken rules of the columns and of single rows.
        unused: names of the columns that nobody reads.
    """

    rows: Rows | None
    problems: list[Problem]
    unused: tuple[str, ...]


def parse_table(table: Table, tasks: Sequence[Task], *, need_labels: bool, need_split: bool = True) -> ParsedTable:
    """Turn the text of a table into numbers.

    Args:
        table: as read.
        tasks: the vocabulary.
        need_labels: whether the columns of the tasks, `identity` among them, must be there.
        need_split: whether the column `split` must be there; without it all images are of train.
    """
    required: tuple[str, ...] = ("image", "split") if need_split else ("image",)
    if need_labels:
        required += tuple("identity" if task.kind == RETRIEVAL else task.name for task in tasks)
    meaningful = dict.fromkeys((*RESERVED, *(task.name for task in tasks if task.kind == CLASSIFICATION)))
    problems, unused = _column_problems(table, required, tuple(meaningful))
    if "image" not in table.columns or (need_split and "split" not in table.columns):
        return ParsedTable(None, problems, unused)
    if table.n_rows == 0:
        problems.append(Problem("no-rows", table.file, "has no row of values", "one row per image"))
        return ParsedTable(None, problems, unused)

    image = table.columns["image"].rows()
    columns = {name: table.columns[name] for name in meaningful if name in table.columns}
    further = {name: table.columns[name] for name in unused}
    order: IntArray | None = None
    if not (image[:-1] <= image[1:]).all():
        order = _ascending(image)
        image = image[order]
        columns = {name: column.taken(order) for name, column in columns.items()}
        further = {name: column.taken(order) for name, column in further.items()}

    def place(row: int) -> str:
        return f"{table.place(row if order is None else int(order[row]))} ({quoted(image[row])})"

    problems += image_problems(table.file, image, place)
    split = _split(table.file, columns.get("split"), table.n_rows, place, problems)
    problems += repeat_problems(table.file, image, split, place)
    for name in FREE_TEXT:
        if name in columns:
            problems += _text_problems(f"{table.file}: {name}", columns[name], place)
    nothing = Column.empty(table.n_rows)
    labels = {}
    for task in tasks:
        if task.kind == CLASSIFICATION:
            column = columns.get(task.name, nothing)
            parse = _multi_label if task.multi_label else _single_label
            labels[task.name] = parse(f"{table.file}: {task.name}", column, task, place, problems)
    identity, identities = numbered_identities(columns.get("identity", nothing))
    nobody = np.zeros(table.n_rows, dtype=np.bool_)
    source, sequence, camera = (columns[name].rows() if name in columns else None for name in FREE_TEXT[1:])
    rows = Rows(
        images=image,
        split=split,
        identity=identity,
        identities=identities,
        labels=labels,
        junk=nobody,
        distractor=nobody.copy(),
        source=source,
        sequence=sequence,
        camera=camera,
        place=place,
        columns={name: further[name].rows() for name in sorted(further)},
    )
    return ParsedTable(rows, problems, unused)


def _ascending(images: NDArray[np.object_]) -> IntArray:
    """Rows in order of images, by code point; of equal images the first row comes first."""
    n_bytes = images.size * max(map(len, images)) * np.dtype("U1").itemsize
    # Characters side by side are compared twice as fast as objects all over the memory.
    return np.argsort(images.astype(np.str_) if n_bytes <= SORT_BYTES else images, kind="stable")


def _column_problems(
    table: Table, required: Sequence[str], meaningful: Sequence[str]
) -> tuple[list[Problem], tuple[str, ...]]:
    """Missing columns, and those that would be lost because of a slip in their name."""
    unused = [name for name in table.columns if name not in meaningful]
    absent = [name for name in meaningful if name not in table.columns]
    slips = {name: meant for name in unused if (meant := closest(name, absent, NEAR_NAME)) is not None}
    problems = []
    for name in dict.fromkeys(required):
        if name in absent and name not in slips.values():
            found = f"there is no column {quoted(name)}"
            remedy = f"columns {', '.join(quoted(column) for column in required)}"
            problems.append(Problem("missing-column", table.file, found, remedy))
    for name, meant in slips.items():
        found = f"column {quoted(name)} has no meaning, and there is no column {quoted(meant)}"
        remedy = f"call it {quoted(meant)}, or something less alike if it is something else"
        problems.append(Problem("unknown-column", table.file, found, remedy))
    return problems, tuple(name for name in unused if name not in slips)


def _split(file: str, column: Column | None, n_rows: int, place: Place, problems: list[Problem]) -> IntArray:
    if column is None:
        return np.zeros(n_rows, dtype=np.int64)
    faults = {name: f"expected {expected(name, SPLITS)}" for name in column.distinct - set(SPLITS)}
    remedy = "train, query or gallery (query and gallery together are the test set)"
    problems += values_problems("unknown-split", f"{file}: split", column, faults, place, remedy)
    number = {name: SPLITS.index(name) if name in SPLITS else UNKNOWN_SPLIT for name in column.distinct}
    return column.numbered(number)


def _text_problems(where: str, column: Column, place: Place) -> list[Problem]:
    faults = {value: fault for value in column.distinct if (fault := text_fault(value)) is not None}
    return values_problems("bad-text", where, column, faults, place, NO_TEXT_FAULT)


def _single_label(where: str, column: Column, task: Task, place: Place, problems: list[Problem]) -> IntArray:
    number = {name: index for index, name in enumerate(task.labels)} | {"": NOT_ANNOTATED}
    faults = {}
    for value in column.distinct - set(number):
        faults[value] = "this task takes one label" if LABEL_SEPARATOR in value else "unknown label"
        number[value] = NOT_ANNOTATED
    problems += _label_problems(where, column, task, faults, place)
    return column.numbered(number)


def _multi_label(where: str, column: Column, task: Task, place: Place, problems: list[Problem]) -> IntArray:
    values = sorted(column.distinct)
    decisions = np.zeros((len(values), len(task.labels)), dtype=np.int64)  # of each different cell
    faults = {}
    for row, value in zip(decisions, values, strict=True):
        names = value.split(LABEL_SEPARATOR)
        if value == "":
            row[:] = NOT_ANNOTATED
        elif EMPTY_SET in names and len(names) > 1:
            faults[value] = "'-' stands alone"
        elif "" in names:
            faults[value] = "a label between the '|' is missing"
        elif len(set(names)) < len(names):
            faults[value] = "a label stands twice"
        elif value != EMPTY_SET:
            if not set(names) <= set(task.labels):
                faults[value] = "unknown label"
            row[[index for index, name in enumerate(task.labels) if name in names]] = 1
    problems += _label_problems(where, column, task, faults, place)
    number = {value: index for index, value in enumerate(values)}
    return decisions[column.numbered(number)]


def _label_problems(where: str, column: Column, task: Task, faults: dict[str, str], place: Place) -> list[Problem]:
    if not faults:
        return []
    first = min(faults)
    wrong = [name for name in first.split(LABEL_SEPARATOR) if name not in task.labels] or [first]
    form = f", or several joined by '|', '{EMPTY_SET}' for none of them" if task.multi_label else ""
    remedy = f"{expected(wrong[0], task.labels)}{form}; empty if not annotated"
    return values_problems("bad-label", where, column, faults, place, remedy)
