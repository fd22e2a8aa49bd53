"""Locks files and folders, so that two processes never write the same at once.

The system releases a lock when its process ends, however it ends. Windows and some network file systems have no such
locks: there, only one process may write at a time.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Wait for the lock of a folder, and keep other processes from taking it meanwhile."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def locked_now(path: Path) -> int | None:
    """Lock a file or folder without waiting; a descriptor that holds the lock, or None where there are no locks.

    Raises:
        BlockingIOError: if another process holds the lock.
        FileNotFoundError: if it has been removed.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink == 0 or not path.exists():
            raise FileNotFoundError(errno.ENOENT, "was removed")
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        raise
    except OSError:  # such as a network file system
        os.close(descriptor)
        return None
    return descriptor
