"""Opens an untrusted submission in any of its file formats: .npz, .parquet, or a folder of .npy files.

The first bytes of a file decide its format, not its name. Nothing is unpickled and no header is trusted: what a file
declares is compared with its size and with the limits of the benchmark before its values are read, and no more bytes
are read than were declared.
"""

import stat
from pathlib import Path

from piq_bench.errors import BadSubmission, LimitExceeded, Problem
from piq_bench.limits import MAX_FILE_BYTES
from piq_bench.read.container import Container, Limits, unreadable
from piq_bench.read.kinds import N_BYTES, kind_of
from piq_bench.read.npy_folder import read_npy_folder
from piq_bench.read.npz import read_npz
from piq_bench.read.parquet import read_parquet


def read_container(path: Path, limits: Limits) -> Container:
    """Read a submission's arrays and meta, and collect the problems of single arrays.

    Raises:
        BadSubmission: if the file or folder as a whole cannot be read.
        LimitExceeded: if it needs more memory than is allowed.
    """
    try:
        return _read_any(path, limits)
    except MemoryError:
        remedy = "pass a folder: its embedding stays on disk"
        problem = Problem("too-large", path.name, "does not fit into memory", remedy)
        raise LimitExceeded(str(path), [problem]) from None


def _read_any(path: Path, limits: Limits) -> Container:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: NUL in a path
        raise unreadable(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        return read_npy_folder(path, limits)
    if not stat.S_ISREG(status.st_mode):
        remedy = "pass a .npz or .parquet file, or a folder"
        raise _refusal(path, "not-a-file", "is neither a file nor a folder", remedy)
    if status.st_size > MAX_FILE_BYTES:
        found = f"has {status.st_size} bytes, the limit is {MAX_FILE_BYTES}"
        raise _refusal(path, "file-too-large", found, "store the embedding as float16")
    try:
        with path.open("rb") as stream:
            start = stream.read(N_BYTES)
    except OSError as error:
        raise unreadable(path, error) from None
    if start.startswith(b"PAR1"):
        return read_parquet(path, limits)
    if start.startswith(b"PK"):
        return read_npz(path, limits)
    if (kind := kind_of(start)) is not None:
        raise _refusal(path, "not-an-archive", kind.found, kind.remedy_for(path.name))
    found = "is empty" if status.st_size == 0 else f"starts with {start[:4]!r}, so it is not a zip archive"
    remedy = "write it with numpy.savez_compressed, or pass a folder or a .parquet file"
    raise _refusal(path, "not-an-archive", found, remedy)


def _refusal(path: Path, code: str, found: str, remedy: str) -> BadSubmission:
    return BadSubmission(str(path), [Problem(code, path.name, found, remedy)])
