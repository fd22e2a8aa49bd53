"""Writes the column split of a table of annotations anew, and leaves every other cell as it is."""

import csv
import io
from pathlib import Path

from piq_bench.records import SPLITS
from piq_bench.write.files import write_text, written_whole


def write_split(path: Path, split_of: dict[str, int]) -> None:
    """Writes the table anew: every cell but those of the column split has the same text, in the same order."""
    if path.suffix == ".parquet":
        _write_parquet(path, split_of)
        return
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header, *rows = (row for row in csv.reader(stream) if row)
    image = header.index("image")
    has_split = "split" in header
    place = header.index("split") if has_split else image + 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cells = [["split"], *([SPLITS[split_of[row[image]]]] for row in rows)]
    for row, cell in zip([header, *rows], cells, strict=True):
        row[place : place + has_split] = cell
        writer.writerow(row)
    write_text(path, text.getvalue())


def _write_parquet(path: Path, split_of: dict[str, int]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    images = table.column("image").cast(pa.string()).to_pylist()
    column = pa.array([SPLITS[split_of[image]] for image in images], pa.string())
    names = table.column_names
    if "split" in names:
        table = table.set_column(names.index("split"), "split", column)
    else:
        table = table.add_column(names.index("image") + 1, "split", column)
    with written_whole(path) as temporary:
        pq.write_table(table, temporary)
