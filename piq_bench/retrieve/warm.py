"""Compiles the kernel's longest function in a process of its own on the first run, while the data are read.

Compiling takes seconds, on one core, and happens once per installation: the result goes to numba's cache on disk, from
which this process then loads it. Where there is no such cache, or it is filled, no process is started. On a fresh
installation that is seen from the folder of the package, before numba is imported here, which takes a while too.
"""

import gc
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np

LONGEST_SECONDS = 120.0
PROGRAM = "from piq_bench.retrieve import warm; warm.compile_kernel()"
CACHE = Path(__file__).parent / "__pycache__"  # numba's first choice, unless the user has chosen another folder
KEPT = "kernel.count_block-*.nbi"

_running: "list[subprocess.Popen[bytes]]" = []
_one_at_a_time = Lock()


def start() -> None:
    """Start to compile, unless it has been done. Does not wait, and tells of no trouble: `count_block` compiles too."""
    with _one_at_a_time, suppress(OSError):
        if _running or not (_is_fresh() or _is_wanted(_count_block())):
            return
        _running.append(
            subprocess.Popen(  # noqa: S603  (our own program; -P: nothing is imported from the folder we are in)
                [sys.executable, "-P", "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        )


def wait() -> None:
    """Wait for the process that compiles, if there is one."""
    while _running:
        process = _running.pop()
        with suppress(subprocess.TimeoutExpired, OSError):
            process.communicate(timeout=LONGEST_SECONDS)
        process.kill()


def compile_kernel() -> None:
    """Compile `kernel.count_block` for the arguments that the engine gives it; ends when its parent ends."""
    Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()  # all that it would look through is needed to the end
    _count_block().compile(_argument_types())
    os._exit(0)  # a thread that reads would hold up the usual end, by a second


def _count_block() -> Any:  # noqa: ANN401  (a function that numba compiles has methods of its own)
    from piq_bench.retrieve import kernel

    return kernel.count_block


def _is_fresh() -> bool:
    """Whether nothing has been compiled yet on an installation that this user may write to."""
    return "NUMBA_CACHE_DIR" not in os.environ and os.access(CACHE, os.W_OK) and not any(CACHE.glob(KEPT))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # a pipe that the system closes when the parent ends
    os._exit(1)


def _argument_types() -> tuple[Any, ...]:
    from numba import typeof

    from piq_bench.retrieve import kernel

    rows, wholes = np.zeros((1, 1), np.float32), np.zeros(1, np.int64)
    numbers, table = np.zeros(1), np.zeros((1, 1), np.uint16)
    points = kernel.Points(
        vectors=rows,
        norm=numbers,
        start=wholes,
        exact=numbers,
        target=numbers,
        reach=numbers,
        slope=numbers,
        reach64=numbers,
        table=table,
        base=rows[0],
        scale=rows[0],
        excluded=np.zeros(1, np.int32),
        excluded_first=wholes,
        excluded_last=wholes,
    )
    images = kernel.Images(
        vectors=rows, norm=numbers, columns=np.zeros((1, 1, 1)), built=np.zeros(1, np.bool_), first=0
    )
    counts = np.zeros(1, np.int32)
    scratch = kernel.scratch(points, 1)
    return tuple(map(typeof, (rows, 1, points, 0, images, True, scratch, counts, counts)))


def _is_wanted(function: Any) -> bool:  # noqa: ANN401  (numba's own objects have no types)
    """Whether numba has a cache on disk, and it holds no code of a function. Asks numba's inner parts, which may go."""
    try:
        return not function.signatures and not function._cache._cache_file._load_index()
    except (AttributeError, OSError, ValueError, EOFError):
        return False
