"""Tasks on workers: each result once, a task's error as it is, and an end where no worker is left."""

from collections.abc import Iterator
from typing import Any

import pytest

from piq_bench.cluster import tasks
from piq_bench.errors import BadSubmission, LimitExceeded, Problem

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")
Client = Any


@pytest.fixture
def client() -> Iterator[Client]:
    with (
        distributed.LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as found,
    ):
        yield found


def times(factor: int, value: int) -> int:
    if value == 1000:
        raise BadSubmission("it", [Problem("code", "where", "found", "remedy")])
    return factor * value


def test_each_result_comes_once_and_few_items_are_made_before_their_turn(client: Client) -> None:
    made: list[int] = []

    def make(index: int) -> int:
        made.append(index)
        return index

    found = []
    for done, (index, value) in enumerate(tasks.results(client, times, 7, make, n_items=40), 1):
        assert value == 7 * index
        assert len(made) <= done + 2 * tasks.IN_FLIGHT
        found.append(index)
    assert sorted(found) == list(range(40))
    assert list(tasks.results(client, times, 7, [])) == []


def test_the_error_of_a_task_arrives_as_it_was_raised(client: Client) -> None:
    with pytest.raises(BadSubmission, match="it: refused, 1 problem"):
        list(tasks.results(client, times, 7, [1, 1000, 2]))


class Gone:
    """A future that ended in one way."""

    def __init__(self, key: str, status: str, error: Exception | None = None) -> None:
        self.key, self.status, self.error = key, status, error

    def exception(self) -> Exception | None:
        return self.error

    def result(self) -> object:
        raise OSError("the worker is gone")

    def add_done_callback(self, call: Any) -> None:  # noqa: ANN401
        call(self)


class KilledWorker(Exception):
    pass


class Broken:
    """A client whose tasks all end without a result."""

    def __init__(self, future: tuple[Any, ...], status: str = "running", n_workers: int = 1) -> None:
        self.future, self.status, self.n_workers, self.n_submitted = future, status, n_workers, 0

    def nthreads(self) -> dict[str, int]:
        return {str(n): 1 for n in range(self.n_workers)}

    def submit(self, *_: object, **__: object) -> Gone:
        self.n_submitted += 1
        return Gone(str(self.n_submitted), *self.future)

    def cancel(self, *_: object, **__: object) -> None:
        pass


@pytest.mark.parametrize("future", [("cancelled",), ("lost",), ("finished",), ("error", KilledWorker("part"))])
def test_a_task_that_is_lost_again_and_again_ends_the_run(future: tuple[Any, ...]) -> None:
    client = Broken(future)
    with pytest.raises(LimitExceeded, match=f"part 0 was lost {tasks.MOST_LOSSES} times"):
        list(tasks.results(client, times, 7, [1]))
    assert client.n_submitted == 2 * tasks.MOST_LOSSES  # the shared data go with it


def test_a_run_without_scheduler_or_workers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(Gone, "add_done_callback", lambda self, call: None)
    with pytest.raises(LimitExceeded, match="the scheduler is gone"):
        list(tasks.results(Broken(("pending",), "closed"), times, 7, [1]))
    with pytest.raises(LimitExceeded, match="no worker for 0 seconds"):
        list(tasks.results(Broken(("pending",), n_workers=0), times, 7, [1], patience=0.05))
