"""Room for decoded images: in comes a shape, out comes an array of bytes, in memory or, if it is too small, in a file.

Such a file is memory-mapped and has no name, so that nothing is left of it however the process ends; a run that goes on
decodes again, which takes minutes at most and can never mix up images. All of the file is on the disk before the first
image is decoded: a full disk is found out at once, and not by a crash in the middle.
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
from piq_bench.pictures import Pixels

MEMORY_SHARE = 0.5  # of the memory at hand, which decoded images may take
GIB = 1 << 30
ZEROS = bytes(1 << 24)  # written at a time where a file system cannot reserve
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container, new and old


def room_for(shape: tuple[int, ...], folder: Path | None) -> Pixels:
    """An array to be filled, of unknown content.

    Args:
        shape: of the array.
        folder: where a file may lie; the nearest one above if it is not there yet. Always in memory if None.

    Returns:
        Of type uint8; a `np.memmap` if it lies in a file.

    Raises:
        LimitExceeded: if neither memory nor the disk suffice.
    """
    n_bytes = math.prod(shape)
    if folder is None or n_bytes <= MEMORY_SHARE * memory_at_hand():
        return np.empty(shape, np.uint8)
    with nameless_file(n_bytes, folder) as stream:
        return np.memmap(stream, np.uint8, "r+", shape=shape)


@contextmanager
def nameless_file(n_bytes: int, folder: Path) -> Iterator[IO[bytes]]:
    """A file of some size that is gone when nobody has it open or mapped any more.

    Args:
        n_bytes: at least 1.
        folder: as for `room_for`.

    Raises:
        LimitExceeded: if the disk does not suffice.
    """
    disk = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    with ExitStack() as opened:
        try:
            stream = opened.enter_context(tempfile.TemporaryFile(dir=disk))
            _reserve(stream, n_bytes)
        except OSError as error:
            raise _no_room(n_bytes, disk, error) from None
        yield stream


def memory_at_hand() -> float:
    """Bytes that may be taken without swapping, for each of the processes that torchrun started here."""
    bytes_at_hand = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for line in _text("/proc/meminfo").splitlines():  # Linux alone knows how much of its cache it would give back
        if line.startswith("MemAvailable:"):
            bytes_at_hand = float(line.split()[1]) * 1024
    limits = [float(text) for text in map(_text, LIMITS) if text.strip().isdigit()]
    return min([bytes_at_hand, *limits]) / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _reserve(stream: IO[bytes], n_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, n_bytes)
        return
    for first in range(0, n_bytes, len(ZEROS)):
        stream.write(ZEROS[: n_bytes - first])
    stream.flush()


def _no_room(n_bytes: int, disk: Path, error: OSError) -> LimitExceeded:
    reason = printable(error.strerror or error)
    found = f"{n_bytes / GIB:.1f} GiB of decoded images are too much for memory, and have no room here: {reason}"
    remedy = "free some space, or write to another disk; nothing that was written is lost"
    return LimitExceeded(str(disk), [Problem("no-room", "disk", found, remedy)])


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
