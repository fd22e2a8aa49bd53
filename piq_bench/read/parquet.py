"""Reads an untrusted Parquet file by having another process with bounded memory unpack it (`read.unpack_parquet`).

A damaged or hostile file may crash the Parquet library; then only that process ends, and the file is refused.
"""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from piq_bench.errors import BadSubmission, LimitExceeded, Problem, lacks_memory, shortage
from piq_bench.limits import MAX_MEMORY_BYTES
from piq_bench.read.container import OF_MATRIX, Container, Limits

REPORT = "report.json"
MAX_SECONDS = 600
# The child imports the same modules as this process, and nothing from the working directory.
CHILD = """\
import json, sys
request = json.load(sys.stdin)
sys.path[:] = request["modules"]
from piq_bench.read.unpack_parquet import main
main(request)
"""


def read_parquet(path: Path, limits: Limits) -> Container:
    """Read the columns that the benchmark knows; meta is in the file's metadata under the key "piq-bench".

    Raises:
        BadSubmission: if the file is not a valid Parquet file or holds too many columns.
        LimitExceeded: if unpacking it takes more memory or time than is allowed.
    """
    own_rows = OF_MATRIX if limits.has_matrix else ()
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        request = {
            "path": str(path.absolute()),
            "folder": folder,
            "n_rows": limits.n_rows,
            "max_columns": {name: n for name, n in limits.max_columns.items() if name not in own_rows},
            "max_memory": MAX_MEMORY_BYTES,
            "modules": sys.path,
        }
        try:
            child = subprocess.run(  # noqa: S603  (runs this interpreter with CHILD)
                [sys.executable, "-I", "-c", CHILD],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=MAX_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            found = f"was not unpacked within {MAX_SECONDS} s"
            problem = Problem("too-slow", path.name, found, "pass a .npz file instead")
            raise LimitExceeded(str(path), [problem]) from None
        if child.returncode != 0 and (lacks_memory(child.stderr) or child.returncode == -signal.SIGKILL):
            raise LimitExceeded(str(path), [_no_memory(path)])
        if child.returncode != 0 and (reason := shortage(child.stderr)) is not None:
            remedy = "name another folder by TMPDIR, or pass a .npz file"
            raise LimitExceeded(str(path), [Problem("no-room", path.name, reason, remedy)])
        if child.returncode == 1:  # a bug in our own code
            raise RuntimeError(child.stderr)
        report = Path(folder, REPORT)
        if child.returncode != 0 or not report.is_file():
            found, remedy = "the Parquet library crashed while unpacking it", "the file is damaged: write it again"
            problem = Problem("not-an-archive", path.name, found, remedy)
            raise BadSubmission(str(path), [problem])
        container = _load(path, Path(folder), json.loads(report.read_text(encoding="utf-8")))
    for name in sorted(container.names.intersection(own_rows)):
        found = "belongs to a matrix, whose rows are not those of the other columns"
        container.refuse(
            "bad-format", name, found, "pass a .npz file or a folder: all columns of a Parquet file are of one length"
        )
    return container


def _load(path: Path, folder: Path, report: dict[str, Any]) -> Container:
    """Load what the other process left in `folder`."""
    problems = [Problem(**problem) for problem in report["problems"]]
    if report["too_large"]:
        raise LimitExceeded(str(path), problems or [_no_memory(path)])
    if problems and not report["names"]:
        raise BadSubmission(str(path), problems)
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in report["arrays"]}
    return Container(arrays, report["meta"], problems, set(report["names"]), report["notes"], is_table=True)


def _no_memory(path: Path) -> Problem:
    found = f"needs more memory to be unpacked than there is, or than {MAX_MEMORY_BYTES} bytes"
    return Problem("too-large", path.name, found, "raise the limit (ulimit -v), or pass a folder instead")
