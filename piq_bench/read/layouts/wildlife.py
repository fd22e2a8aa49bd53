"""Reads a table of wildlife-datasets: image_id, identity and path; the identity "unknown" is nobody known.

Such a table has no query and no gallery, so all its images are in train: enough for `piq-stats`, not for a score.
Format: https://github.com/WildlifeDatasets/wildlife-datasets, docs/dataframe.md.
"""

from collections import Counter
from pathlib import Path

from piq_bench.errors import Problem, first_few
from piq_bench.read.column import Column
from piq_bench.read.layouts.labelled_rows import PORTRAIT, LabelledRows
from piq_bench.read.layouts.named_columns import checked_rows, read_columns, tables_with, the_table

REQUIRED = ("image_id", "identity", "path")
OTHER = ("image",)  # a column of our own layout
FURTHER = ("date", "species", "video")
UNKNOWN = "unknown"


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
    ids = Counter(table.columns["image_id"])
    repeated = [name for name, count in ids.items() if count > 1]
    if repeated:
        found = f"{first_few(repeated, len(repeated))} occurs more than once"
        problems.append(Problem("duplicate-image", f"{path.name}: image_id", found, "use each id once", len(repeated)))
    columns = {
        "image": table.columns["path"],
        "split": Column.from_texts(["train"] * table.n_rows),
        "identity": Column.from_texts(["" if name == UNKNOWN else name for name in table.columns["identity"]]),
    }
    rows = checked_rows(path, table, problems, columns, FURTHER)
    found = "has no query and gallery images: all images are in train"
    remedy = "to score on it, write it down with `piq import auto` and change the column split of annotations.csv"
    return LabelledRows(
        name=path.stem,
        rows=rows,
        tasks=(PORTRAIT["reid"],),
        images_folder=".",
        notes=(Problem("no-split", path.name, found, remedy),),
    )
