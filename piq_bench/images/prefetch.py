"""Prefetches the results of tasks; the number computed ahead is bounded, so that they never fill the memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(submit: Callable[[Task], "Future[Result]"], tasks: Iterable[Task], n_ahead: int) -> Iterator[Result]:
    """Yields the result of each task in the order of the tasks.

    Tasks that have not begun are cancelled when the generator is closed or a task fails.

    Args:
        submit: starts a task on a pool.
        tasks: each is taken only when it is started.
        n_ahead: number of tasks that may run or wait beyond the one whose result is yielded next.
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
