"""Reads an untrusted Parquet file by having another process unpack it (`read.unpack_parquet`, `read.unpack_schema`)."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from piq_bench.errors import BadSubmission, LimitExceeded, Problem
from piq_bench.read.container import OF_MATRIX, Container, Limits
from piq_bench.read.unpacking import REPORT, no_memory, unpack_apart


def read_parquet(path: Path, limits: Limits) -> Container:
    """Read the columns that the benchmark knows; meta is in the file's metadata under the key "piq-bench".

    Raises:
        BadSubmission: if the file is not a valid Parquet file or holds too many columns.
        LimitExceeded: if unpacking it takes more memory or time than is allowed.
    """
    own_rows = OF_MATRIX if limits.has_matrix else ()
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        request = {
            "n_rows": limits.n_rows,
            "max_columns": {name: n for name, n in limits.max_columns.items() if name not in own_rows},
        }
        report = _report("piq_bench.read.unpack_parquet", path, Path(folder), request)
        container = _load(path, Path(folder), report)
    for name in sorted(container.names.intersection(own_rows)):
        found = "belongs to a matrix, whose rows are not those of the other columns"
        container.refuse(
            "bad-format", name, found, "pass a .npz file or a folder: all columns of a Parquet file are of one length"
        )
    return container


def parquet_columns(path: Path) -> list[tuple[str, bool]]:
    """The name of each column of a Parquet file, and whether it has lists.

    Raises:
        BadSubmission: if the file has no valid footer.
        LimitExceeded: if its footer takes more memory or time than is allowed.
    """
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        report = _report("piq_bench.read.unpack_schema", path, Path(folder), {})
    if report["damage"] is not None:
        found, remedy = f"is no complete Parquet file: {report['damage']}", "write the file again"
        raise BadSubmission(str(path), [Problem("damaged", path.name, found, remedy)])
    return [(name, is_list) for name, is_list in report["columns"]]


def _report(module: str, path: Path, folder: Path, request: dict[str, object]) -> dict[str, Any]:
    """What the other process reports; the file is refused if that process crashes."""
    if not unpack_apart(module, path, folder, request):
        found, remedy = "the Parquet library crashed while unpacking it", "the file is damaged: write it again"
        raise BadSubmission(str(path), [Problem("not-an-archive", path.name, found, remedy)])
    report: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    return report


def _load(path: Path, folder: Path, report: dict[str, Any]) -> Container:
    """Load what the other process left in `folder`."""
    problems = [Problem(**problem) for problem in report["problems"]]
    if report["too_large"]:
        raise LimitExceeded(str(path), problems or [no_memory(path)])
    if problems and not report["names"]:
        raise BadSubmission(str(path), problems)
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in report["arrays"]}
    return Container(arrays, report["meta"], problems, set(report["names"]), report["notes"], is_table=True)
