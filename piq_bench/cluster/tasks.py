"""Runs tasks on workers that may die: every task's result is used exactly once, whichever worker gives it.

Dask starts a task of a dead worker anew by itself. What a task needs stays with the scheduler until it has ended: data
that were scattered to workers would die with them, and their tasks would wait for ever. A task that was on too many
workers that died is sent from here once more. Tasks are pure functions, so a repeated one gives the same result. Few
tasks wait at a time: memory does not grow with their number.
"""

import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from queue import Empty, Queue
from typing import Any, TypeVar

from piq_bench.cluster.connect import Client
from piq_bench.errors import LimitExceeded, Problem, printable

IN_FLIGHT = 3  # tasks per worker that wait, travel or run
MOST_LOSSES = 3  # times that one task may be lost with all its copies
TICK_SECONDS = 1.0
PATIENCE_SECONDS = 120.0  # without a single worker
Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


def results(
    client: Client,
    function: Callable[[Shared, Item], Result],
    shared: Shared,
    items: Sequence[Item] | Callable[[int], Item],
    *,
    n_items: int | None = None,
    patience: float = PATIENCE_SECONDS,
) -> Iterator[tuple[int, Result]]:
    """Yield each item's index and its result, as soon as it is known and in any order.

    Args:
        client: a client of `connected`.
        function: called on a worker with what all tasks share and with one item; importable there, and pure.
        shared: sent to one worker, and from there once to every other.
        items: the items, or a function that makes item i when its turn comes.
        n_items: number of items, if they are made by a function.
        patience: seconds to wait while there is no worker.

    Raises:
        LimitExceeded: if a task's workers die again and again, no worker is left, or the scheduler is gone.
        Exception: what the function raised.
    """
    make: Callable[[int], Item] = items if callable(items) else items.__getitem__
    n_total = len(items) if not callable(items) else n_items or 0
    run = _Run(client, function, shared, make, patience)
    waiting = iter(range(n_total))
    try:
        n_left = n_total
        for index in waiting:
            run.submit(index)
            if len(run.running) >= run.most_in_flight():
                yield run.next()
                n_left -= 1
        for _ in range(n_left):
            yield run.next()
    finally:
        run.cancel()


class _Run:
    """The tasks in flight.

    Attributes:
        running: the index and the future of each task in flight, by the key of its future.
        losses: how often each task was lost.
        finished: keys of futures that have ended, well or not.
    """

    def __init__(
        self,
        client: Client,
        function: Callable[..., Any],
        shared: object,
        make: Callable[[int], Any],
        patience: float,
    ) -> None:
        self.client, self.function, self.shared, self.make, self.patience = client, function, shared, make, patience
        self.running: dict[str, tuple[int, Any]] = {}
        self.losses: dict[int, int] = {}
        self.finished: Queue[str] = Queue()
        self.shared_there: Any = None

    def most_in_flight(self) -> int:
        return IN_FLIGHT * max(1, _n_workers(self.client))

    def submit(self, index: int) -> None:
        """Send a task and its data, which the scheduler keeps until the task has ended."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # Dask advises data that die with their worker
            if self.shared_there is None:
                cloudpickle = import_module("cloudpickle")  # comes with Dask
                self.shared_there = self.client.submit(pickle.loads, cloudpickle.dumps(self.shared), pure=False)
            content = pickle.dumps(self.make(index), 5)
            future = self.client.submit(_apply, self.function, self.shared_there, content, pure=False)
        self.running[future.key] = (index, future)
        future.add_done_callback(lambda ended: self.finished.put(ended.key))

    def next(self) -> tuple[int, Any]:
        """Wait for a result; send a lost task again."""
        last_seen = time.monotonic()
        while True:
            try:
                key = self.finished.get(timeout=TICK_SECONDS)
            except Empty:
                last_seen = self._checked(last_seen)
                continue
            if key not in self.running:
                continue
            index, future = self.running.pop(key)
            if future.status == "finished":
                try:
                    return index, future.result()
                except Exception as failure:  # it ended well: its worker died before it could hand the result over
                    self._lost(index, failure)
                continue
            error = future.exception() if future.status == "error" else None
            if error is not None and type(error).__name__ != "KilledWorker":
                raise error
            self._lost(index, error)

    def cancel(self) -> None:
        """Let go of whatever has not ended."""
        futures = [future for _, future in self.running.values()]
        self.running.clear()
        if futures and self.client.status == "running":
            self.client.cancel(futures, force=True)

    def _lost(self, index: int, error: BaseException | None) -> None:
        self._checked(time.monotonic())
        self.losses[index] = self.losses.get(index, 0) + 1
        if self.losses[index] >= MOST_LOSSES:
            found = f"part {index} was lost {MOST_LOSSES} times with its worker"
            found += f" ({printable(error, 200)})" if error is not None else ""
            raise _given_up("lost", found, "look into the workers' logs: they may need more memory")
        self.shared_there = None
        self.submit(index)

    def _checked(self, last_seen: float) -> float:
        """The last time that there was a worker; refuses to wait for ever."""
        if self.client.status != "running":
            raise _given_up("no-scheduler", "the scheduler is gone", "start it and its workers again, then run again")
        if _n_workers(self.client):
            return time.monotonic()
        if time.monotonic() - last_seen > self.patience:
            raise _given_up("no-worker", f"no worker for {self.patience:.0f} seconds", "start workers, then run again")
        return last_seen


def _apply(function: Callable[[Any, Any], Any], shared: object, content: bytes) -> object:
    """Run one task on a worker."""
    return function(shared, pickle.loads(content))  # noqa: S301  (from the client, whose function this is)


def _n_workers(client: Client) -> int:
    """Number of workers; 0 if the scheduler does not answer."""
    try:
        return len(client.nthreads())
    except OSError:
        return 0


def _given_up(code: str, found: str, remedy: str) -> LimitExceeded:
    return LimitExceeded("--scheduler", [Problem(code, "workers", found, remedy)])
