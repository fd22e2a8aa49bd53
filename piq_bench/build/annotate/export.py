"""Writes the labels into annotations.csv, or annotations.parquet where the data set has that.

Only the columns of identities and tasks change, and of these only the cells whose label somebody has given. Rows,
their order and all other columns stay. The file is replaced as a whole or not at all.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from piq_bench.build.annotate.ballots import CANNOT_TELL, CONFLICT, NOT_A_PERSON
from piq_bench.build.annotate.project import Project, exported
from piq_bench.errors import BadDataset, Problem
from piq_bench.read.table import SUFFIXES, Table, read_table
from piq_bench.write.files import write_text, written_whole

STEM = "annotations"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        cells: number of cells that differ from before.
        conflicts: number of images in conflict, by task; they are written as not annotated.
        not_people: number of images that show no person.
        unsure: number of answers "cannot tell" that stand, which are written as not annotated.
    """

    path: Path
    cells: int
    conflicts: dict[str, int]
    not_people: int
    unsure: int


def export(project: Project, dataset: Path) -> Exported:
    """Write the labels into the data set's annotations.

    Raises:
        BadDataset: if the file cannot be read, or has lost images meanwhile.
        BadUsage: if it cannot be written.
    """
    path = next(path for suffix in SUFFIXES if (path := dataset / f"{STEM}{suffix}").exists())
    table, problems = read_table(path)
    if problems:
        raise BadDataset(str(path), problems)
    columns = {name: list(column.rows()) for name, column in table.columns.items()}
    rows = [project.ballots.row.get(image) for image in columns["image"]]
    if None in rows or len(rows) != len(project.ballots.row):
        raise BadDataset(str(path), [Problem("changed", path.name, "has other images than before", "run it again")])
    changed, conflicts, not_people, unsure = 0, {}, 0, 0
    ballots = project.ballots
    for name in ballots.tasks:
        is_identity = name == ballots.identity_task
        column = "identity" if is_identity else name
        labels, untouched = ballots.labels(name), ballots.untouched(name)
        cells = columns.setdefault(column, [""] * len(rows))
        nobody = project_junk(project) if is_identity else ""
        for place, row in enumerate(rows):
            code = int(labels[row])
            if (untouched[row] and code < 0) or (code == -1 and not cells[place]):
                continue
            text = nobody if code == NOT_A_PERSON else exported(ballots, name, code)
            changed += text != cells[place]
            cells[place] = text
        conflicts[name] = int((labels == CONFLICT).sum())
        unsure += int((labels == CANNOT_TELL).sum())
        not_people += int((labels == NOT_A_PERSON).sum()) if is_identity else 0
    if changed:
        _write(path, table, columns)
    return Exported(path, changed, {name: n for name, n in conflicts.items() if n}, not_people, unsure)


def project_junk(project: Project) -> str:
    """The identity of images that show no person: the data set's junk if it declares one, else nothing."""
    return project.junk[0] if project.junk else ""


def _write(path: Path, table: Table, columns: dict[str, list[str]]) -> None:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with written_whole(path) as temporary:
            pq.write_table(pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}), temporary)
        return
    out = io.StringIO()
    if table.comment is not None:
        out.write(f"# {table.comment}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, out.getvalue())
