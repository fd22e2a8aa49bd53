"""Children of a process that work in a process group of their own, so that nothing is left of them."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MEMORY = 8 << 30  # bytes of a child: a mutant may ask for anything
BROKEN = 70  # exit status of a child whose work did not return


def forked(work: Callable[[], int], log: Path | None = None) -> int:
    """A child that does the work and exits with what it returns, in a process group of its own."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = BROKEN
    try:
        os.setpgid(0, 0)
        if log is not None:
            with log.open("wb") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(child: int, seconds: float = float("inf")) -> int | None:
    """The exit status of a child, or None if it has not ended; a signal that ends it is a difference."""
    limit = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > limit:
            return None
        time.sleep(0.02)


def end(child: int) -> None:
    """End what is left of a child and of the processes that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
