"""Unpacks a stranger's file in a process of its own, whose memory and time follow from the size of the file.

Libraries that unpack believe what a file says about its content, and some crash on damaged files. Then only that
process ends, and the file is refused.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from threading import Event, Lock, Timer
from typing import TYPE_CHECKING

from piq_bench.errors import LimitExceeded, Problem, lacks_memory, shortage
from piq_bench.limits import MAX_MEMORY_BYTES, unpacking_bytes, unpacking_seconds, waiting_seconds

if TYPE_CHECKING:
    import pyarrow.parquet as pq

REPORT = "report.json"
THREAD_BYTES = 32 << 20  # of address space for the stacks of a few threads: the limit counts it, though little is used
OUT_OF_TIME = getattr(signal, "SIGXCPU", None) or 24  # Windows has neither signal
KILLED = getattr(signal, "SIGKILL", None) or 9
TABLE = "piq_bench.read.unpack_table"
# Modules that Arrow would import if they are there: numpy, which takes as long as Arrow itself, and clients of network
# storage, which a file on disk does not need.
WITHOUT = {TABLE: ["numpy", "pyarrow._azurefs", "pyarrow._gcsfs", "pyarrow._hdfs", "pyarrow._s3fs"]}
ANSWER = "\npiq-bench: done\n"  # a line of its own, whatever libraries print before it
# The child imports the same modules as this process, and nothing from the working directory. Then it waits for
# requests, and answers each: it may have been started before there was one. It ends at once: to free all that the
# libraries hold would take longer than to read a small table.
CHILD = f"""\
import importlib, json, os, sys
start = json.loads(sys.stdin.readline())
sys.path[:] = start["modules"]
sys.modules.update(dict.fromkeys(start["without"]))
main = importlib.import_module(start["module"]).main
from piq_bench.read.unpacking import limit_process
for line in sys.stdin:
    request = json.loads(line)
    limit_process(request["most_bytes"], request["most_seconds"])
    main(request)
    print({ANSWER!r}, end="", flush=True)
os._exit(0)
"""
# Threads and the usual allocators reserve far more memory than they use, which the limit would count.
FRUGAL = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

_are_ours: ContextVar[bool] = ContextVar("files are ours", default=False)


class _Unpacker:
    """A process that unpacks one file after the other.

    Attributes:
        turn: who holds it may ask.
        child: the process while it waits; None if it is to be started.
        stays: whether there may be another file.
    """

    def __init__(self, *, stays: bool = False) -> None:
        self.turn = Lock()
        self.child: subprocess.Popen[str] | None = None
        self.stays = stays


_of_tables: ContextVar[_Unpacker | None] = ContextVar("the process that unpacks tables", default=None)


@contextmanager
def own_files() -> Iterator[None]:
    """Unpack files within this process, without limits: for files that it has just written itself."""
    token = _are_ours.set(True)
    try:
        yield
    finally:
        _are_ours.reset(token)


@contextmanager
def unpacker_started() -> Iterator[None]:
    """Start the process that will unpack all tables, while this one imports what it needs itself."""
    unpacker = _Unpacker(stays=True)
    token = _of_tables.set(unpacker)
    try:
        with suppress(OSError):  # to start it when it is needed will say why
            unpacker.child = _start(TABLE)
        yield
    finally:
        _of_tables.reset(token)
        unpacker.stays = False
        if unpacker.turn.acquire(blocking=False):  # a thread whose turn it is ends the process itself
            child, unpacker.child = unpacker.child, None
            unpacker.turn.release()
            if child is not None:
                _end(child)


def unpack_apart(
    module: str, path: Path, folder: Path, request: Mapping[str, object], *, most_memory: int = MAX_MEMORY_BYTES
) -> bool:
    """Call `main` of a module in another process, which writes REPORT to a folder; false if that process crashed.

    Within `own_files`, call it in this process.

    Args:
        module: its `main` takes a dictionary: the request, with the path and the folder.
        path: the file to unpack.
        folder: where the process leaves what it found.
        request: what else `main` needs to know.
        most_memory: what no file may take, however large it is.

    Raises:
        LimitExceeded: if unpacking takes more memory or time than is allowed, or the folder's disk is full.
    """
    if _are_ours.get():
        import_module(module).main({**request, "path": str(path), "folder": str(folder)})
        return (folder / REPORT).is_file()
    n_file_bytes = path.stat().st_size
    most_bytes = min(most_memory, unpacking_bytes(n_file_bytes))
    everything = {
        **request,
        "path": str(path.absolute()),
        "folder": str(folder),
        "most_bytes": most_bytes,
        "most_seconds": unpacking_seconds(n_file_bytes),
    }
    unpacker = (_of_tables.get() if module == TABLE else None) or _Unpacker()
    with unpacker.turn:
        child, unpacker.child = unpacker.child or _start(module), None
        try:
            last_words = _ask(child, json.dumps(everything) + "\n", waiting_seconds(n_file_bytes))
            if last_words is None and unpacker.stays:
                unpacker.child = child
        except TimeoutError:
            raise _too_slow(path, waiting_seconds(n_file_bytes)) from None
        finally:
            if unpacker.child is None:
                _end(child)
    if last_words is None:
        return (folder / REPORT).is_file()
    if child.returncode == -OUT_OF_TIME:
        raise _too_slow(path, unpacking_seconds(n_file_bytes))
    if lacks_memory(last_words) or child.returncode == -KILLED:
        raise LimitExceeded(str(path), [no_memory(path, most_memory)])
    reason = shortage(last_words)
    if reason is not None:
        remedy = "name another folder by TMPDIR, or pass a .npz file"
        raise LimitExceeded(str(path), [Problem("no-room", path.name, reason, remedy)])
    if child.returncode == 1:  # a bug in our own code
        raise RuntimeError(last_words)
    return False


def _ask(child: "subprocess.Popen[str]", request: str, most_seconds: float) -> str | None:
    """Wait until a process has done what it is asked; if it ends instead, return all that it printed.

    Raises:
        TimeoutError: if it has done neither in time; it is then killed.
    """
    is_late = Event()
    printed: list[str] = []

    def end() -> None:
        is_late.set()
        child.kill()

    timer = Timer(most_seconds, end)
    timer.start()
    try:
        if child.stdin is not None and child.stdout is not None:
            with suppress(BrokenPipeError):  # its status will say how it ended
                child.stdin.write(request)
                child.stdin.flush()
            for line in child.stdout:
                if line == ANSWER[1:]:
                    return None
                printed.append(line)
        child.wait()
    finally:
        timer.cancel()
    if is_late.is_set():
        raise TimeoutError
    return "".join(printed)


def _end(child: "subprocess.Popen[str]") -> None:
    """End a process of which nothing more is asked."""
    child.kill()
    with suppress(BrokenPipeError), child:
        pass


def _start(module: str) -> "subprocess.Popen[str]":
    child = subprocess.Popen(  # noqa: S603  (runs this interpreter with CHILD)
        [sys.executable, "-I", *_bytecode_option(), "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # one pipe, since of two that are not both read one may fill up
        text=True,
        errors="replace",
        env={**os.environ, **FRUGAL},
    )
    if child.stdin is not None:
        with suppress(BrokenPipeError):  # its status will say how it ended
            start = json.dumps({"modules": sys.path, "module": module, "without": WITHOUT.get(module, [])}) + "\n"
            os.write(child.stdin.fileno(), start.encode())  # unbuffered: nothing is left to write when it is closed
    return child


def _bytecode_option() -> list[str]:
    """Lets the child find the bytecode that this process has found: `-I` passes over PYTHONPYCACHEPREFIX."""
    return [] if sys.pycache_prefix is None else ["-X", f"pycache_prefix={sys.pycache_prefix}"]


def limit_process(most_bytes: int, most_seconds: int) -> None:
    """Limit the further memory and computing time of this process, where the system can do that."""
    try:
        import resource
    except ImportError:  # not on this system
        return
    try:
        with Path("/proc/self/statm").open(encoding="ascii") as stream:
            n_bytes_now = int(stream.read().split()[0]) * resource.getpagesize()
    except OSError:  # this system does not tell
        n_bytes_now = 0
    for kind, most in (
        (resource.RLIMIT_AS, n_bytes_now + THREAD_BYTES + most_bytes),
        (resource.RLIMIT_CPU, int(time.process_time()) + most_seconds),
    ):
        try:
            _, hard = resource.getrlimit(kind)
            soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (soft, hard))
        except (OSError, ValueError):  # no such limit on this system
            continue


def without_dictionary(metadata: "pq.FileMetaData") -> set[str]:
    """Columns of a Parquet file with differences of texts or lengths, which the library reads without a dictionary."""
    found = set()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            if any(encoding.startswith("DELTA") for encoding in chunk.encodings):
                found.add(str(chunk.path_in_schema))
    return found


def no_memory(path: Path, most_memory: int = MAX_MEMORY_BYTES) -> Problem:
    """The problem of a file for which memory does not suffice."""
    n_bytes = min(most_memory, unpacking_bytes(path.stat().st_size))
    found = f"needs more memory to be unpacked than there is, or than the {n_bytes} bytes"
    remedy = "raise the limit (ulimit -v), or pass a folder or .npz file instead"
    return Problem("too-large", path.name, f"{found} that a file of its size may take", remedy)


def _too_slow(path: Path, seconds: int) -> LimitExceeded:
    found = f"was not unpacked within {seconds} s"
    return LimitExceeded(str(path), [Problem("too-slow", path.name, found, "pass a .npz file instead")])
