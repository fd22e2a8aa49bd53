"""Prefetched results come in order, their number is bounded, and tasks not begun are cancelled at the end."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from piq_bench.images.prefetch import in_order


@pytest.mark.parametrize("n_ahead", [0, 1, 3, 99])
def test_results_come_in_order_and_no_more_are_started_than_are_allowed(n_ahead: int) -> None:
    started: list[int] = []

    with ThreadPoolExecutor(2) as pool:

        def submit(task: int) -> Future[int]:
            started.append(task)
            return pool.submit(pow, task, 2)

        for place, result in enumerate(in_order(submit, range(20), n_ahead)):
            assert result == place**2
            assert len(started) <= min(20, place + 1 + n_ahead)
    assert started == list(range(20))


def test_tasks_not_begun_are_cancelled_after_a_failure_or_when_the_generator_is_closed() -> None:
    gate = threading.Event()
    begun: list[int] = []

    def work(task: int) -> int:
        begun.append(task)
        if task == 1:
            raise ValueError("no result")
        if task == 2:
            gate.wait(10)
        return task

    with ThreadPoolExecutor(1) as pool:
        results = in_order(lambda task: pool.submit(work, task), range(9), 4)
        assert next(results) == 0
        with pytest.raises(ValueError, match="no result"):
            next(results)
        gate.set()
    assert len(begun) <= 3

    with ThreadPoolExecutor(1) as pool:
        results = in_order(lambda task: pool.submit(pow, task, 2), range(9), 0)
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        assert not list(results)
