"""Reads each bomb in a process of its own and prints what it cost: `python -m bombs [NAME ...]` in the folder tests.

The promise: a file of 1 kB never costs more than 200 MB or 5 s, one of 100 kB never more than 500 MB or 10 s.
"""

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from bombs.catalogue import BOMBS
from bombs.files import Bomb, read, size
from piq_bench.errors import BadInput
from piq_bench.images.folder import Unreadable

PROMISES = ((1_500, 200, 5.0), (1 << 20, 500, 10.0))  # upper bytes of the file, MB, seconds
GIVE_UP = 30  # seconds


def main(names: list[str]) -> int:
    """Measure bombs by name, all by default; the exit status is 1 if one of them costs too much."""
    import pandas  # noqa: F401  (loaded once, so that what a bomb costs is its own)
    import PIL.Image

    import piq_bench.board.pull_request
    import piq_bench.convert.source
    import piq_bench.read.dataset
    import piq_bench.read.submission
    import piq_bench.read.upload  # noqa: F401

    PIL.Image.init()
    failed = [name for name in names or BOMBS if not measured(name, BOMBS[name])]
    print(f"{len(failed)} of {len(names or BOMBS)} cost too much")
    return int(bool(failed))


def measured(name: str, bomb: Bomb) -> bool:
    """Build and read one bomb, print its size, time and memory, and say whether the promise is kept."""
    folder = Path(tempfile.mkdtemp(prefix="bomb-"))
    try:
        built = in_child(lambda: bomb(folder), 10 * GIVE_UP)
        n_bytes = size(folder)
        end, seconds, megabytes = in_child(lambda: read(folder)) if built[0] == "read" else built
    finally:
        shutil.rmtree(folder)
    most_megabytes, most_seconds = next((most for upto, *most in PROMISES if n_bytes <= upto), (0, 0.0))
    kept = end.split(":")[0] in ("read", "refused") and seconds <= most_seconds and megabytes <= most_megabytes
    print(
        f"{'pass' if kept else 'FAIL'}  {name}: {n_bytes:,} bytes, {seconds:.1f} s, {megabytes} MB, {end}", flush=True
    )
    return kept


def in_child(call: Callable[[], object], give_up: int = GIVE_UP) -> tuple[str, float, int]:
    """Run a call in a child of this process: how it ended, its seconds, and the peak of its memory in MB.

    The memory is what the child takes beyond what it begins with, and the whole of the largest process that it started.
    """
    reading, writing = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        signal.alarm(give_up)
        os.write(writing, how_it_ends(call).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        end = stream.read()
    _, status, _ = os.wait4(child, 0)
    if not end:
        end = f"ended with {os.waitstatus_to_exitcode(status)} 0 0"
    end, megabytes, of_children = end.rsplit(" ", 2)
    return end, time.perf_counter() - start, int(megabytes) + int(of_children)


def how_it_ends(call: Callable[[], object]) -> str:
    """Runs the call; "read", "refused: CODE" or the last line of the traceback, and the memory in MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    try:
        call()
        end = "read"
    except BadInput as refusal:
        end = f"refused: {refusal.problems[0].code}"
    except Unreadable as refusal:
        end = f"refused: {refusal.code}"
    except Exception:
        end = traceback.format_exc().splitlines()[-1]
    own, others = (resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return f"{end} {own - before} {others}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
