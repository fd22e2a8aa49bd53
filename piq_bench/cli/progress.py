"""Says on stderr what a command is doing: a bar or a clock in a terminal, a line now and then in a log.

No thread is started for a log: processes that draw or hash images may be forked meanwhile.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

Advance = Callable[[int], None]

LINE_SECONDS = 30  # between two lines in a log
COMPILED = "cpu (numba)"  # the engine that is compiled when it is first used
COMPILING = "compiling the counting kernel, once after installation"
INTERVALS = "resampling for the intervals"


@contextmanager
def progress_bar(description: str, total: int, *, before: str = "", after: str = "") -> Iterator[Advance]:
    """Yield a function that tells of a number of finished steps, with the time left.

    Args:
        description: what the steps are: "counting queries".
        total: number of steps.
        before: what happens before the first step; empty for nothing that takes long.
        after: what happens after the last step.
    """
    if not sys.stderr.isatty():
        yield _line_now_and_then(description, total)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    done = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(before or description, total=total)

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            progress.update(task, advance=steps, description=after if after and done >= total else description)

        yield advance


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Show what is being done, such as "reading mine.npz"; a log is told afterwards if it took long."""
    begin = monotonic()
    if not sys.stderr.isatty():
        yield
        if monotonic() - begin >= LINE_SECONDS:
            _print(f"{what}: done after {_time(monotonic() - begin)}")
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield


def waiting_for(engine_name: str) -> str:
    """What a retrieval engine does before it counts: the compiled one is compiled once, then kept on disk."""
    if engine_name != COMPILED:
        return ""
    from piq_bench.retrieve import kernel, warm

    compiled: Any = kernel.count_block
    folder = Path(compiled.stats.cache_path or "")
    is_kept = folder.is_dir() and any(folder.glob(warm.KEPT))
    return "" if is_kept else COMPILING


def _line_now_and_then(description: str, total: int) -> Advance:
    begin = last = monotonic()
    done = 0

    def advance(steps: int) -> None:
        nonlocal last, done
        done += steps
        now = monotonic()
        if now - last >= LINE_SECONDS and done < total:
            last = now
            left = f", about {_time((now - begin) * (total - done) / done)} left" if done else ""
            _print(f"{description}: {done:,} of {total:,}{left}")

    return advance


def _time(seconds: float) -> str:
    """A length of time in words.

    >>> _time(40), _time(90), _time(9000)
    ('40 s', '2 min', '2.5 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
