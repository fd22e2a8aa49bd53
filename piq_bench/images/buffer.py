"""Allocates the buffer for decoded images: in memory, or in a memory-mapped file where memory is too small.

The file has no name, so nothing is left of it however the process ends. A resumed run decodes its images again, which
takes minutes at most and can never mix images up. The whole file is reserved before the first image is decoded, so that
a full disk is reported at once and not by a crash half-way.
"""

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from piq_bench.errors import LimitExceeded, Problem, printable
from piq_bench.records import Pixels

MEMORY_SHARE = 0.5  # of the available memory that decoded images may take
GIB = 1 << 30
ZEROS = bytes(1 << 24)  # written repeatedly where the file system cannot reserve space
MEMORY_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)  # cgroup v2, v1


def pixel_buffer(shape: tuple[int, ...], folder: Path | None) -> Pixels:
    """Allocates an uninitialised array for decoded images.

    Args:
        shape: shape of the array.
        folder: folder for the file; if it does not exist, its nearest existing parent is used. None keeps the array
            in memory whatever its size.

    Returns:
        An array of uint8; a `np.memmap` if it is in a file.

    Raises:
        LimitExceeded: if the array fits neither in memory nor on the disk.
    """
    n_bytes = math.prod(shape)
    if folder is None or n_bytes <= MEMORY_SHARE * available_memory():
        return np.empty(shape, np.uint8)
    with unnamed_file(n_bytes, folder) as stream:
        return np.memmap(stream, np.uint8, "r+", shape=shape)


@contextmanager
def unnamed_file(n_bytes: int, folder: Path) -> Iterator[IO[bytes]]:
    """Opens a file of `n_bytes` without a name, which is gone once no process has it open or mapped.

    Args:
        n_bytes: size of the file, at least 1.
        folder: folder for the file, as in `pixel_buffer`.

    Raises:
        LimitExceeded: if the disk is too full.
    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    with ExitStack() as opened:
        try:
            stream = opened.enter_context(tempfile.TemporaryFile(dir=existing))
            _reserve(stream, n_bytes)
        except OSError as error:
            raise _no_space(n_bytes, existing, error) from None
        yield stream


def available_memory() -> float:
    """Bytes that this process can use without swapping: an equal share for each process that torchrun started here."""
    n_bytes = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for line in _text("/proc/meminfo").splitlines():  # only Linux says how much of its cache it would give back
        if line.startswith("MemAvailable:"):
            n_bytes = float(line.split()[1]) * 1024
    limits = [float(text) for text in map(_text, MEMORY_LIMITS) if text.strip().isdigit()]
    return min([n_bytes, *limits]) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _reserve(stream: IO[bytes], n_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, n_bytes)
        return
    for first in range(0, n_bytes, len(ZEROS)):
        stream.write(ZEROS[: n_bytes - first])
    stream.flush()


def _no_space(n_bytes: int, folder: Path, error: OSError) -> LimitExceeded:
    reason = printable(error.strerror or error)
    found = f"{n_bytes / GIB:.1f} GiB of decoded images fit neither in memory nor on this disk: {reason}"
    remedy = "free some space, or write to another disk; nothing already written is lost"
    return LimitExceeded(str(folder), [Problem("no-room", "disk", found, remedy)])


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
