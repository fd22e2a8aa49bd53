"""A submission in one Parquet file to named arrays.

The file is unpacked by another process with bounded memory (`read.unpack_parquet`), which hands over plain arrays:
whatever a damaged or hostile file does to the Parquet library, this process gets an answer.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from piq_bench.errors import BadSubmission, LimitExceeded, Problem
from piq_bench.read.container import MAX_MEMORY_BYTES, Container, Limits

REPORT = "report.json"
MAX_SECONDS = 600
# The same modules as here are used there, wherever they were found, and nothing from the working directory.
CHILD = """\
import json, sys
request = json.load(sys.stdin)
sys.path[:] = request["modules"]
from piq_bench.read.unpack_parquet import main
main(request)
"""


def read_parquet(path: Path, limits: Limits) -> Container:
    """Columns by name; meta from the file's metadata under the key "piq-bench".

    Raises:
        BadSubmission: if it is no Parquet file.
        LimitExceeded: if it takes more memory or time than is allowed.
    """
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        request = {
            "path": str(path.absolute()),
            "folder": folder,
            "n_rows": limits.n_rows,
            "n_columns": dict(limits.n_columns),
            "max_memory": MAX_MEMORY_BYTES,
            "modules": sys.path,
        }
        try:
            child = subprocess.run(  # noqa: S603  (this interpreter, the text above)
                [sys.executable, "-I", "-c", CHILD],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=MAX_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            problem = Problem("too-slow", path.name, f"was not unpacked within {MAX_SECONDS} s", "pass a .npz instead")
            raise LimitExceeded(str(path), [problem]) from None
        if child.returncode == 1:  # a bug of ours
            raise RuntimeError(child.stderr)
        report = Path(folder, REPORT)
        if child.returncode != 0 or not report.is_file():
            remedy = "the file is damaged: write it again"
            problem = Problem("not-an-archive", path.name, "the Parquet library broke off while unpacking it", remedy)
            raise BadSubmission(str(path), [problem])
        return _handed_over(path, Path(folder), json.loads(report.read_text(encoding="utf-8")))


def _handed_over(path: Path, folder: Path, report: dict[str, Any]) -> Container:
    problems = [Problem(**problem) for problem in report["problems"]]
    if report["too_large"]:
        memory = Problem("too-large", path.name, f"takes more than {MAX_MEMORY_BYTES} bytes", "pass a folder instead")
        raise LimitExceeded(str(path), problems or [memory])
    if problems and not report["named"]:
        raise BadSubmission(str(path), problems)
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in report["arrays"]}
    return Container(arrays, report["meta"], problems, set(report["named"]))
