"""Measures one row of the table in a process of its own: time relative to the bare product, memory, and how it ended.

The evaluation and the bare product take turns, so a machine that gets slower or faster does so for both. A process of
its own has its own peak memory and its own limits, and a crash ends nothing else. Linux and macOS.
"""

import gc
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from benchmarks.evaluators import BLOCKS, OURS, PRODUCTS, Data, Evaluator, Found, NotHereError
from benchmarks.peers import PEERS
from benchmarks.people import Recipe, Size

STARTING_SECONDS = 900.0  # to import, to compile, to make the data
ENDING_SECONDS = 5.0
WARM_UP = Recipe(Size(60, 400, 32), noise=3.0)
OUT_OF_MEMORY = "out of memory"
SIGNS_OF_MEMORY = ("memory", "bad_alloc", "can't start new thread")
LONGEST_REASON = 100
FLOOR, FLOOR_ON_GPU = "bare product, numpy", "bare product, torch on GPU"


@dataclass(frozen=True)
class Limits:
    """Limits of a row.

    Attributes:
        repeats: largest number of evaluations.
        seconds: time for all evaluations of a row; none is started that would exceed it.
        memory_bytes: largest address space.
    """

    repeats: int
    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Outcome:
    """The measurements of a row.

    Attributes:
        name: name of the evaluator or of the bare product.
        seconds: time of each evaluation.
        floor_seconds: time of the bare product before each evaluation.
        peak_bytes: peak resident memory above that before an evaluation.
        found: results of the last evaluation.
        block: queries per product; for bare products only.
        failure: why there are no measurements, or fewer than requested.
    """

    name: str
    seconds: tuple[float, ...] = ()
    floor_seconds: tuple[float, ...] = ()
    peak_bytes: int = 0
    found: Found = field(default_factory=Found)
    block: int | None = None
    failure: str | None = None

    @property
    def ratio(self) -> float | None:
        """Median time over the median time of the bare product in the same process."""
        if not self.seconds or not self.floor_seconds:
            return None
        return median(self.seconds) / median(self.floor_seconds)


def measure_product(name: str, recipe: Recipe, limits: Limits) -> Outcome:
    """Measure a bare product, a key of `evaluators.PRODUCTS`, with its best block size."""
    return _alone(_time_product, name, recipe, limits, BLOCKS[0])


def measure(evaluator: Evaluator, recipe: Recipe, limits: Limits, block: int) -> Outcome:
    """Measure an evaluator and the bare product of `block` queries at a time."""
    return _alone(_time_evaluator, evaluator.name, recipe, limits, block)


Report = Callable[[Outcome], None]
Task = Callable[[str, Recipe, Limits, int, Report], None]


def _alone(task: Task, name: str, recipe: Recipe, limits: Limits, block: int) -> Outcome:
    context = get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output")
        child = context.Process(target=_child, args=(writer, output, task, name, recipe, limits, block), daemon=True)
        child.start()
        writer.close()
        try:
            outcome = _last_report(reader, Outcome(name), limits)
            child.join(ENDING_SECONDS)
        finally:
            child.kill()
            child.join()
        if outcome.seconds or outcome.failure:
            return outcome
        return replace(outcome, failure=_cause(child.exitcode or 0, output.read_text(errors="replace")))


def _last_report(reader: Connection, outcome: Outcome, limits: Limits) -> Outcome:
    """The child's last report; it reports before and after each slow step, so a time-out keeps earlier results."""
    allowed = STARTING_SECONDS
    while reader.poll(allowed):
        try:
            outcome = reader.recv()
        except (EOFError, OSError):
            return outcome
        allowed = max(0.0, limits.seconds - sum(outcome.seconds))
    return outcome if outcome.seconds else replace(outcome, failure=f"over {allowed:.0f} s")


def _cause(exit_code: int, output: str) -> str:
    """Why a process ended without reporting a failure."""
    if exit_code == -signal.SIGKILL or any(sign in output for sign in SIGNS_OF_MEMORY):
        return OUT_OF_MEMORY
    return f"ended with {exit_code}"


def _child(writer: Connection, output: Path, task: Task, name: str, recipe: Recipe, limits: Limits, block: int) -> None:
    """Run a task; keep its output in case it is killed."""
    with output.open("wb", buffering=0) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    failure = None
    try:
        task(name, recipe, limits, block, writer.send)
    except (ImportError, NotHereError) as error:
        missing = getattr(error, "name", None)
        failure = f"not installed: {missing}" if missing else str(error)
    except MemoryError:
        failure = OUT_OF_MEMORY
    except Exception as error:  # a peer may raise anything
        text = f"{type(error).__name__}: {error}"
        failure = OUT_OF_MEMORY if any(sign in text for sign in SIGNS_OF_MEMORY) else text.splitlines()[0]
    if failure is not None:
        writer.send(Outcome(name, failure=failure[:LONGEST_REASON]))
    writer.close()


def _time_product(name: str, recipe: Recipe, limits: Limits, block: int, report: Report) -> None:
    """Time all block sizes in turn and report the best."""
    _limit_memory(limits, on_gpu=name == FLOOR_ON_GPU)
    product = PRODUCTS[name]
    product(Data.of(WARM_UP), block)
    data = Data.of(recipe)
    taken: dict[int, list[float]] = {block: [] for block in BLOCKS}
    for _ in range(limits.repeats):
        for block, seconds in taken.items():
            start = time.perf_counter()
            product(data, block)
            seconds.append(time.perf_counter() - start)
            report(Outcome(name))
    best = min(taken, key=lambda block: median(taken[block]))
    with _PeakMemory() as memory:
        product(data, best)
    report(Outcome(name, tuple(taken[best]), tuple(taken[best]), memory.peak_bytes, block=best))


def _time_evaluator(name: str, recipe: Recipe, limits: Limits, block: int, report: Report) -> None:
    """Time the bare product and the evaluation in turn."""
    evaluator = next(one for one in (*OURS, *PEERS) if one.name == name)
    _limit_memory(limits, on_gpu=evaluator.on_gpu)
    floor = PRODUCTS[FLOOR_ON_GPU if evaluator.on_gpu else FLOOR]
    evaluate = evaluator.prepare()
    warm_up = Data.of(replace(WARM_UP, half=recipe.half))
    evaluate(warm_up)
    floor(warm_up, block)
    data = Data.of(recipe)
    floor(data, block)  # so that all memory has been touched once
    outcome = Outcome(name)
    while len(outcome.seconds) < limits.repeats:
        if outcome.seconds and sum(outcome.seconds) + max(outcome.seconds) > limits.seconds:
            break
        start = time.perf_counter()
        floor(data, block)
        floor_seconds = time.perf_counter() - start
        report(outcome)
        with _PeakMemory() as memory:
            start = time.perf_counter()
            found = evaluate(data)
            seconds = time.perf_counter() - start
        outcome = Outcome(
            name,
            (*outcome.seconds, seconds),
            (*outcome.floor_seconds, floor_seconds),
            max(outcome.peak_bytes, memory.peak_bytes),
            found,
        )
        report(outcome)


def _limit_memory(limits: Limits, *, on_gpu: bool) -> None:
    """Limit the address space, except on a GPU, whose driver reserves more than there is memory, and on macOS."""
    if not on_gpu:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


class _PeakMemory:
    """Peak resident memory inside a `with` block, above that at its start."""

    def __enter__(self) -> "_PeakMemory":
        gc.collect()
        with suppress(OSError):  # fails outside Linux; the peak is then that since the process began
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self.before = _resident("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.peak_bytes = max(0, _resident("VmHWM") - self.before)


def _resident(line: str) -> int:
    """A line of /proc/self/status, in bytes; elsewhere the peak."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(next(text for text in status.splitlines() if text.startswith(line)).split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
