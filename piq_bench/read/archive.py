"""Containers from strangers to named arrays: .npz, a folder of .npy files, or .parquet; the first bytes say which.

Nothing is unpickled, no header is believed: what a file declares is compared with its size and with what the benchmark
allows before a byte of content is read, and no more bytes are read than were declared.
"""

import stat
from pathlib import Path

from piq_bench.errors import BadSubmission, LimitExceeded, Problem
from piq_bench.read.container import Container, Limits, unreadable
from piq_bench.read.npy_folder import read_npy_folder
from piq_bench.read.npz import read_npz
from piq_bench.read.parquet import read_parquet

MAX_FILE_BYTES = 32 << 30


def open_container(path: Path, limits: Limits) -> Container:
    """Read what is there, whatever its form.

    Raises:
        BadSubmission: if the container itself cannot be opened.
        LimitExceeded: if it asks for more memory than is allowed.
    """
    try:
        return _open(path, limits)
    except MemoryError:
        problem = Problem(
            "too-large", path.name, "does not fit into memory", "pass a folder: its embedding stays on disk"
        )
        raise LimitExceeded(str(path), [problem]) from None


def _open(path: Path, limits: Limits) -> Container:
    name = path.name
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: NUL in a path
        raise unreadable(path, error) from None
    if stat.S_ISDIR(mode):
        return read_npy_folder(path, limits)
    if not stat.S_ISREG(mode):
        raise BadSubmission(str(path), [Problem("not-a-file", name, "neither a file nor a folder", "name a .npz file")])
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        found = f"{size} bytes, the limit is {MAX_FILE_BYTES}"
        raise BadSubmission(str(path), [Problem("file-too-large", name, found, "store the embedding as float16")])
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise unreadable(path, error) from None
    if magic == b"PAR1":
        return read_parquet(path, limits)
    if magic[:2] != b"PK":
        found = "empty" if size == 0 else f"starts with {magic!r}: no zip archive"
        remedy = "write it with numpy.savez_compressed, or pass a folder or a .parquet file"
        raise BadSubmission(str(path), [Problem("not-an-archive", name, found, remedy)])
    return read_npz(path, limits)
