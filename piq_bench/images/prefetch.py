"""Results in the order of their tasks, computed a little ahead: what waits to be used never fills the memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(submit: Callable[[Task], "Future[Result]"], tasks: Iterable[Task], n_ahead: int) -> Iterator[Result]:
    """The result of each task, when it is there.

    Args:
        submit: starts a task on a pool.
        tasks: taken from when they are started.
        n_ahead: tasks that run or wait beyond the one whose result is next; those not begun are given up when nobody
            asks for results any more.
    """
    started: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            started.append(submit(task))
            if len(started) > n_ahead:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()
    finally:
        for future in started:
            future.cancel()
