"""Reads MATLAB files of version 5 to 7.2, whose variables may be packed, with scipy in another process.

scipy crashes on some damaged files; then only that process ends, and the file is refused. Before scipy sees the file,
its packed variables are unpacked piece by piece, only to count their bytes.
"""

import json
import math
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

import numpy as np

from piq_bench.convert.features import MAX_ROWS, refusal
from piq_bench.errors import BadSubmission, LimitExceeded, Problem, printable, shortage
from piq_bench.limits import MAX_MEMORY_BYTES, MAX_TEXT_WIDTH
from piq_bench.read.unpack_parquet import limit_memory

PACKED = 15  # the data type of a packed variable
PIECE_BYTES = 1 << 20
MAX_VARIABLES = 200
MAX_SECONDS = 600
REMEDY = "write it again with scipy.io.savemat, or in MATLAB with save -v7"
NOT_READ = ("struct", "object", "opaque", "function", "unknown")
REPORT = "report.json"
# The child imports the same modules as this process, and nothing from the working directory.
CHILD = """\
import json, sys
request = json.load(sys.stdin)
sys.path[:] = request["modules"]
from piq_bench.convert.mat import main
main(request)
"""


def read_mat(path: Path) -> dict[str, object]:
    """Numbers as arrays, and cell arrays or character arrays as lists of texts, by variable.

    Raises:
        BadSubmission: if the file is damaged.
        LimitExceeded: if it takes more memory or time than is allowed.
    """
    _check_size(path)
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        request = {"path": str(path.absolute()), "folder": folder, "modules": sys.path}
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
            problem = Problem("too-slow", path.name, f"was not read within {MAX_SECONDS} s", "pass a .npz file instead")
            raise LimitExceeded(str(path), [problem]) from None
        if child.returncode != 0 and (reason := shortage(child.stderr)) is not None:
            raise LimitExceeded(str(path), [Problem("no-room", path.name, reason, "pass a .npz file instead")])
        if child.returncode == 1:  # a bug in our own code
            raise RuntimeError(child.stderr)
        if child.returncode != 0 or not Path(folder, REPORT).is_file():
            raise refusal(path, "damaged", "scipy crashed while reading it, so the file is damaged", REMEDY)
        report = json.loads(Path(folder, REPORT).read_text(encoding="utf-8"))
        if report["problems"]:
            raise BadSubmission(str(path), [Problem(**problem) for problem in report["problems"]])
        arrays = {
            name: np.load(Path(folder, f"{place}.npy"), allow_pickle=False)
            for place, name in enumerate(report["arrays"])
        }
        return {**arrays, **report["texts"], **dict.fromkeys(report["unread"])}


def main(request: Mapping[str, str]) -> None:
    """Read a file for the process that started this one.

    Args:
        request: path of the file, and folder to write arrays and a report to.
    """
    path, folder = Path(request["path"]), Path(request["folder"])
    limit_memory(2 * MAX_MEMORY_BYTES)
    content: dict[str, object] = {}
    problems: tuple[Problem, ...] = ()
    try:
        content = unpack(path)
    except BadSubmission as error:
        problems = error.problems
    except MemoryError:
        problems = (Problem("too-large", path.name, "does not fit into memory", "store float32"),)
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    for place, values in enumerate(arrays.values()):
        np.save(folder / f"{place}.npy", values, allow_pickle=False)
    report = {
        "arrays": list(arrays),
        "texts": {name: value for name, value in content.items() if isinstance(value, list)},
        "unread": [name for name, value in content.items() if value is None],
        "problems": [asdict(problem) for problem in problems],
    }
    (folder / REPORT).write_text(json.dumps(report), encoding="utf-8")


def unpack(path: Path) -> dict[str, object]:
    """Arrays, lists of texts, and None for what is neither, by variable.

    Raises:
        BadSubmission: if the file is damaged or declares more than it holds.
    """
    from scipy.io import loadmat, whosmat

    try:
        declared = whosmat(path)
        read = [name for name, _, kind in declared if kind not in NOT_READ]
        _check_declared(path, declared)
        content = loadmat(path, variable_names=read)
    except (BadSubmission, MemoryError):
        raise
    except Exception as error:  # scipy fails in any way on a stranger's bytes
        raise refusal(path, "damaged", f"scipy cannot read it: {printable(error)}", REMEDY) from None
    return {name: _plain(content.get(name)) for name, _, _ in declared}


def _check_size(path: Path) -> None:
    """Refuse a file that is cut off or would unpack to too much."""
    try:
        n_bytes = _unpacked_bytes(path)
    except (EOFError, zlib.error, struct.error) as error:
        raise refusal(path, "damaged", f"cannot be unpacked: {printable(error)}", REMEDY) from None
    if n_bytes > MAX_MEMORY_BYTES:
        raise refusal(path, "too-large", f"unpacks to more than {MAX_MEMORY_BYTES} bytes", "store float32")


def _check_declared(path: Path, declared: Sequence[tuple[str, tuple[int, ...], str]]) -> None:
    """Refuse shapes that no file of this size can hold, before scipy makes arrays of them."""
    n_bytes = _unpacked_bytes(path)
    if len(declared) > MAX_VARIABLES:
        raise refusal(path, "too-many-members", f"has {len(declared)} variables", f"at most {MAX_VARIABLES}")
    for name, shape, kind in declared:
        n_values = math.prod(map(int, shape))
        if not 0 <= n_values <= (MAX_ROWS if kind == "cell" else n_bytes):  # a number takes a byte or more
            found = f"declares shape {tuple(shape)}, more than the file holds"
            raise refusal(path, "truncated", found, REMEDY, name)


def _unpacked_bytes(path: Path) -> int:
    """Size of all variables, unpacked; counting ends once it exceeds the limit."""
    total = 0
    with path.open("rb") as stream:
        head = stream.read(128)
        order = "<" if head[126:128] == b"IM" else ">"
        while tag := stream.read(8):
            if len(tag) < 8:
                raise EOFError("the file ends inside a variable")
            kind, n_bytes = struct.unpack(f"{order}II", tag)
            if kind == PACKED:
                total += _count(stream, n_bytes, MAX_MEMORY_BYTES - total)
            else:
                total += n_bytes
                stream.seek(n_bytes, 1)
            if total > MAX_MEMORY_BYTES:
                return total
        if stream.tell() > path.stat().st_size:
            raise EOFError("the file ends inside a variable")
    return total


def _count(stream: IO[bytes], n_packed: int, limit: int) -> int:
    """Bytes to which a packed variable unpacks; more than `limit` bytes are not unpacked."""
    unpacker = zlib.decompressobj()
    total = 0
    while n_packed > 0 and total <= limit:
        piece = stream.read(min(PIECE_BYTES, n_packed))
        if not piece:
            raise EOFError("the file ends inside a variable")
        n_packed -= len(piece)
        while piece and total <= limit:
            total += len(unpacker.decompress(piece, PIECE_BYTES))
            piece = unpacker.unconsumed_tail
    return total


def _plain(value: object) -> object:
    """Numbers as they are, texts as a list, padded ones without their blanks; None for anything else."""
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.kind == "U":
        return [str(text).rstrip(" ") for text in value.ravel().tolist()]
    if value.dtype.kind != "O":
        return value if value.dtype.kind in "biuf" else None
    texts = []
    for cell in value.ravel().tolist():
        text = cell.ravel()[0] if isinstance(cell, np.ndarray) and cell.size == 1 else cell
        if not isinstance(text, str) or len(text) > MAX_TEXT_WIDTH:
            return None  # a cell array of anything else is not read
        texts.append(str(text))
    return texts
