"""Writes a Parquet table with another column split; runs in a process of its own, which `build.split.table` starts.

All columns are read, those too that no other command reads. The Parquet library crashes on some damaged ones.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from piq_bench.build.split.table import NEW_TABLE
from piq_bench.errors import lacks_memory, printable
from piq_bench.read.unpacking import REPORT


def main(request: Mapping[str, Any]) -> None:
    """Write the table for the process that started this one.

    Args:
        request: path of the table, folder to write to, and split_of, the split of each image.
    """
    folder, damage = Path(request["folder"]), None
    try:
        with pq.ParquetFile(request["path"]) as file:  # pq.read_table starts threads, and hangs where it may not
            table = file.read(use_threads=False)
        table.validate(full=True)  # finds text that is not UTF-8 and offsets outside the data
    except (pa.ArrowException, OSError, ValueError) as error:
        if lacks_memory(error):
            raise MemoryError from None
        damage = printable(error)
    else:
        pq.write_table(_with_split(table, request["split_of"]), folder / NEW_TABLE)
    (folder / REPORT).write_text(json.dumps({"damage": damage}), encoding="utf-8")


def _with_split(table: pa.Table, split_of: Mapping[str, str]) -> pa.Table:
    images = table.column("image").cast(pa.string()).to_pylist()
    column = pa.array([split_of[image] for image in images], pa.string())
    names = table.column_names
    if "split" in names:
        return table.set_column(names.index("split"), "split", column)
    return table.add_column(names.index("image") + 1, "split", column)
