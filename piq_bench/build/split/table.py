"""Writes the column split of a table of annotations anew, and leaves every other cell as it is."""

import csv
import io
import json
import shutil
import tempfile
from pathlib import Path

from piq_bench.errors import BadDataset, Problem
from piq_bench.read.unpacking import REPORT, unpack_apart
from piq_bench.records import SPLITS
from piq_bench.write.files import write_text, written_whole

NEW_TABLE = "split.parquet"


def write_split(path: Path, split_of: dict[str, int]) -> None:
    """Writes the table anew: every cell but those of the column split has the same text, in the same order.

    Raises:
        BadDataset: if a column of a Parquet file that nothing else reads is damaged.
        LimitExceeded: if reading it takes more memory or time than is allowed.
    """
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
    """Have another process read the table and write the new one (`build.split.unpack_split`)."""
    named = {image: SPLITS[split] for image, split in split_of.items()}
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        if not unpack_apart("piq_bench.build.split.unpack_split", path, Path(folder), {"split_of": named}):
            raise _damaged(path, "the Parquet library crashed while unpacking it")
        damage = json.loads(Path(folder, REPORT).read_text(encoding="utf-8"))["damage"]
        if damage is not None:
            raise _damaged(path, f"cannot be unpacked: {damage}")
        with written_whole(path) as temporary:
            shutil.copyfile(Path(folder, NEW_TABLE), temporary)


def _damaged(path: Path, found: str) -> BadDataset:
    return BadDataset(str(path), [Problem("parquet", path.name, found, "the file is damaged: write it again")])
