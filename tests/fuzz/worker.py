"""Runs inputs through the readers one after another and watches time, memory and how each ends; Linux and macOS.

It is a process of its own: a crash in C ends it, and is a finding too. Every input has a number, from which it can be
made again.
"""

import faulthandler
import mmap
import os
import re
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import NoReturn

from fuzz.readers import ALL_READERS, Files, Reader

from piq_bench.errors import BadInput

SLOWEST = 5.0  # seconds of computing: other programs may slow this one down
HANGING = 60.0  # seconds
MOST_MEMORY = 200  # MB more than before
NOTICED = 20  # MB after which the peak is reset, which takes longer than most inputs
TURN = 0.2  # seconds
NUMBER_BYTES = 8
IMPORTED_FOR = {".mat of features": "piq_bench.convert.unpack_mat", "torch file": "piq_bench.convert.unpack_torch"}
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Finding:
    """An input that did not end as it should.

    Attributes:
        reader: its name.
        made_from: the number of the input, or a file with the bytes that it was made from.
        what: kind of trouble, with the line of our code that an exception came from.
        detail: traceback or figures.
    """

    reader: str
    made_from: int | Path
    what: str
    detail: str


class Hanging(BaseException):
    """An input took too long; no reader may catch this."""


def made(reader: str, seed: int, number: int) -> Files:
    """The input with a number."""
    return ALL_READERS[reader].make(Random(f"{reader} {seed} {number}"))


def work(
    results: Connection, names: Sequence[str], seed: int, first: Mapping[str, int], seconds: float, place: Path
) -> None:
    """Run inputs in turns, and send the name and number of each before it is read, then a finding if it is one."""
    warnings.simplefilter("ignore")
    os.setpgrp()  # all copies of this process end with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    signal.signal(signal.SIGALRM, raise_hanging)
    tempfile.tempdir = str(place)
    import_for(names)
    numbers, until = dict(first), time.monotonic() + seconds
    n_rounds = 0
    while n_rounds == 0 or time.monotonic() < until:
        # In the first round each reader reads one input, however slow this machine is.
        seconds_of_turn = TURN if n_rounds else 0.0
        for name in names:
            ends = min(until, time.monotonic() + seconds_of_turn)
            run = _turn_apart if ALL_READERS[name].may_crash else _turn
            for number in run(results, name, seed, numbers[name], ends, place):
                numbers[name] = number
        n_rounds += 1
    results.send(None)


def import_for(names: Sequence[str]) -> None:
    """Import what copies of this process would import again and again; torch takes longer than any input may."""
    for name in names:
        if (module := IMPORTED_FOR.get(name)) is not None:
            import_module(module)


def _turn(results: Connection, name: str, seed: int, number: int, ends: float, place: Path) -> Iterator[int]:
    """Read inputs of one reader, at least one, and yield the number of the next before each is read."""
    while True:
        files = made(name, seed, number)
        results.send((name, number))
        number += 1
        yield number
        for what, detail in judged(ALL_READERS[name], files, place):
            results.send(Finding(name, number - 1, what, detail))
        if time.monotonic() >= ends:
            return


def _turn_apart(results: Connection, name: str, seed: int, number: int, ends: float, place: Path) -> Iterator[int]:
    """Like `_turn`, in copies of this process: the product, too, reads such files apart, and a crash is a refusal."""
    with mmap.mmap(-1, NUMBER_BYTES) as shared:
        while True:
            shared[:] = number.to_bytes(NUMBER_BYTES, "little")
            child = os.fork()
            if child == 0:
                _end_after(_turn(results, name, seed, number, ends, place), shared)
            _, status = os.waitpid(child, 0)
            number = int.from_bytes(shared[:], "little")
            yield number
            if os.WIFEXITED(status):
                if os.WEXITSTATUS(status):
                    results.send(Finding(name, number - 1, f"ends with {os.WEXITSTATUS(status)}", ""))
                return
            if time.monotonic() >= ends:
                return


def _end_after(turn: Iterator[int], shared: mmap.mmap) -> NoReturn:
    """Run a turn, write each number where the other process reads it, and end this process."""
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a library says as it crashes
    try:
        for number in turn:
            shared[:] = number.to_bytes(NUMBER_BYTES, "little")
        os._exit(0)
    finally:
        os._exit(1)


def judged(reader: Reader, files: Files, place: Path) -> Iterator[tuple[str, str]]:
    """Read one input and yield what is wrong with how that ended."""
    folder = place / "input"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    before, begun = _peak(), time.process_time()
    try:
        signal.setitimer(signal.ITIMER_REAL, HANGING)
        try:
            reader.read(folder)
        except BadInput as refusal:
            str(refusal).encode()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Hanging:
        yield "hangs", traceback.format_exc()
    except Exception as error:
        yield _signature(error), traceback.format_exc()
    seconds, memory = time.process_time() - begun, _peak() - before
    if seconds > SLOWEST:
        yield "is slow", f"{seconds:.1f} s"
    if memory > NOTICED:
        _reset_peak()
    if memory > MOST_MEMORY:
        yield "takes much memory", f"{memory:.0f} MB"


def raise_hanging(*_: object) -> None:
    """Handle the alarm of `judged`."""
    raise Hanging


def _signature(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "piq_bench" in frame.filename] or frames
    return f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}"


def _reset_peak() -> None:
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> float:
    """Largest resident memory since the last reset, in MB; 0 where the system does not say."""
    found = (
        re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text(encoding="ascii", errors="replace"))
        if STATUS.exists()
        else None
    )
    return int(found[1]) / 1024 if found else 0.0
