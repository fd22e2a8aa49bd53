"""Reads a table of OpenMetricLearning: label, split, is_query, is_gallery and path, perhaps sequence and category.

Its protocol excludes the gallery images of the query's sequence, whatever their label; there are no cameras. It lets an
image be query and gallery at once, which here would be two images: such rows are refused.
Format: https://github.com/OML-Team/open-metric-learning, oml/utils/dataframe_format.py.
"""

from pathlib import Path

from piq_bench.errors import Problem, quoted
from piq_bench.read.column import Column
from piq_bench.read.layouts.labelled_rows import PORTRAIT, LabelledRows
from piq_bench.read.layouts.named_columns import checked_rows, read_columns, tables_with, the_table
from piq_bench.read.rules import CandidateRules
from piq_bench.read.table import Table
from piq_bench.read.validate import rows_problem
from piq_bench.records import Rule

REQUIRED = ("label", "split", "is_query", "is_gallery", "path")
OTHER = ("image",)  # a column of our own layout
BOX = ("x_1", "x_2", "y_1", "y_2")
TRUE = ("true", "1", "1.0")
FALSE = ("false", "0", "0.0", "")
TWICE = (
    "an image has one role here: list a copy of the file, with its own path, as the query, keep the other as gallery"
    " image, and give both a sequence of their own so that neither is a candidate of the other"
)


def recognise(folder: Path) -> bool:
    """Whether a file, or a file in a folder, is such a table."""
    return bool(tables_with(folder, REQUIRED, OTHER))


def read(folder: Path, taxonomy: str | None) -> LabelledRows:
    """Read a table, or the only one of a folder; it has no attributes, so that the taxonomy changes nothing.

    Raises:
        BadDataset: with every problem of the table.
        LimitExceeded: if it is too large.
    """
    path = the_table(folder, REQUIRED, OTHER)
    table, problems = read_columns(path)
    split = _split(table, problems)
    columns = {"image": table.columns["path"], "split": split, "identity": table.columns["label"]}
    sequence = table.columns.get("sequence")
    if sequence is not None:
        columns["sequence"] = sequence
    rows = checked_rows(path, table, problems, columns, ("category",))
    notes = []
    if any(name in table.columns for name in BOX):
        remedy = "cut the images out first if the boxes matter"
        notes.append(Problem("ignored-column", path.name, "boxes are ignored: images count as a whole", remedy))
    return LabelledRows(
        name=path.stem,
        rows=rows,
        tasks=(PORTRAIT["reid"],),
        rules=CandidateRules(exclude=(Rule(("sequence",)),) if sequence is not None else None),
        images_folder=".",
        notes=tuple(notes),
    )


def _split(table: Table, problems: list[Problem]) -> Column:
    """Our split of each row; rows at fault get "train" and are added to the problems."""
    cells = [table.columns[name] for name in ("split", "is_query", "is_gallery")]
    faults: dict[str, list[int]] = {name: [] for name in ("flag", "split", "train", "neither", "both")}
    splits = []
    for row, (split, query, gallery) in enumerate(zip(*cells, strict=True)):
        is_query, is_gallery = query.lower() in TRUE, gallery.lower() in TRUE
        splits.append("query" if is_query else "gallery" if is_gallery else "train")
        if any(flag.lower() not in TRUE + FALSE for flag in (query, gallery)):
            faults["flag"].append(row)
        elif split not in ("train", "validation"):
            faults["split"].append(row)
        elif split == "train" and (is_query or is_gallery):
            faults["train"].append(row)
        elif split == "validation" and is_query == is_gallery:
            faults["both" if is_query else "neither"].append(row)

    def row_name(row: int) -> str:
        return f"{table.place(row)} ({quoted(table.columns['path'][row])})"

    def row_fault(row: int) -> str:
        values = (f"{name} {quoted(table.columns[name][row])}" for name in ("split", "is_query", "is_gallery"))
        return ", ".join(values)

    remedies = {
        "flag": ("bad-flag", "is_query and is_gallery are True, False or empty"),
        "split": ("unknown-split", "split is train or validation"),
        "train": ("train-image-with-role", "images of train are neither query nor gallery"),
        "neither": ("image-without-role", "images of validation are query or gallery"),
        "both": ("query-and-gallery", TWICE),
    }
    for fault, (code, remedy) in remedies.items():
        if faults[fault]:
            problems.append(rows_problem(code, table.file, faults[fault], row_name, row_fault, remedy))
    return Column.from_texts(splits)
