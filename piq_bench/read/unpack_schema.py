"""Lists the columns of an untrusted Parquet file; runs in a process of its own, which `read.parquet` starts.

The Parquet library crashes on some damaged footers, and a footer may unpack to far more than its size.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from piq_bench.errors import lacks_memory, printable
from piq_bench.read.unpacking import REPORT


def main(request: Mapping[str, Any]) -> None:
    """List the columns for the process that started this one.

    Args:
        request: path of the file, and folder to write to.
    """
    report: dict[str, object] = {"columns": [], "damage": None}
    try:
        report["columns"] = [(column.name, _is_list(column.type)) for column in pq.read_schema(request["path"])]
    except (pa.ArrowException, OSError, ValueError) as error:
        if lacks_memory(error):
            raise MemoryError from None
        report["damage"] = printable(error)
    Path(request["folder"], REPORT).write_text(json.dumps(report), encoding="utf-8")


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
