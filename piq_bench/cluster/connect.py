"""Connects to the workers of a Dask scheduler and refuses, before any work, those that could not give equal results.

Dask runs on Slurm, Kubernetes, clouds and by hand (`dask scheduler`, `dask worker ADDRESS`), so nothing here starts
machines. Without an address worker processes start on this machine. Dask sends pickled functions both ways: connect
only to a scheduler that you trust, and give it TLS (`tls://`, configured as Dask's own manual says) on a network that
you do not. `distributed` is imported here alone, and only when it is used.
"""

import logging
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from piq_bench.errors import BadUsage, Problem, first_few, printable

INSTALL = "pip install 'piq-bench[dask]'"
CONNECT_SECONDS = 15
WORKER_SECONDS = 60  # for the first worker to register: batch systems start them one by one
PACKAGES = ("piq-bench", "numpy", "distributed")
Client = Any  # of `distributed`, whose types are not always there
Cluster = Any
Module = Any
MISSING = "not installed"
OPTION = "--scheduler"


@contextmanager
def connected(address: str | None, *, packages: Sequence[str] = ()) -> Iterator[Client]:
    """Yield a client whose workers were checked; without an address start workers on this machine, and end them.

    Args:
        address: a scheduler's address, such as "tcp://10.0.0.1:8786"; None for processes on this machine, which a
            script must allow by guarding its entry with `if __name__ == "__main__":`.
        packages: further packages whose versions must be the same everywhere.

    Raises:
        BadUsage: if `distributed` is not installed, the scheduler does not answer or has no worker, or versions differ.
    """
    distributed = _distributed()
    with _quiet():
        if address is None:
            with local_cluster() as cluster, distributed.Client(cluster, set_as_default=False) as client:
                yield client
            return
        with _client_of(distributed, address) as client:
            _wait_for_worker(client, address)
            _refuse_mixed_versions(client, address, (*PACKAGES, *packages))
            yield client


@contextmanager
def local_cluster(**options: object) -> Iterator[Cluster]:
    """Yield worker processes on this machine, and end them; one that dies is started again, however long that takes.

    Dask gives a worker up that is not back after 15 seconds, and never starts it again. On a busy machine all can be
    lost that way.

    Args:
        options: of `distributed.LocalCluster`.
    """
    with (
        import_module("dask").config.set({"distributed.deploy.lost-worker-timeout": "1 day"}),
        _distributed().LocalCluster(dashboard_address=None, silence_logs=logging.CRITICAL, **options) as cluster,
    ):
        yield cluster


def check_scheduler(address: str | None, *, packages: Sequence[str] = ()) -> None:
    """Connect and check, then leave again: what would fail later fails before a submission is read.

    Raises:
        BadUsage: as `connected` does.
    """
    _distributed()
    if address is not None:
        with connected(address, packages=packages):
            pass


def refuse_unseen(client: Client, paths: Sequence[str], *, is_there: Callable[[str], bool] = os.path.exists) -> None:
    """Refuse workers that do not see a path.

    Raises:
        BadUsage: naming each path and the first few of its workers.
    """
    problems = []
    for path in paths:
        blind = [worker for worker, seen in on_workers(client, is_there, path).items() if seen is not True]
        if blind:
            found = f"{len(blind)} worker{'s do' if len(blind) > 1 else ' does'} not see this path: "
            remedy = "put it on storage that every worker mounts at the same path, or start workers where it is"
            where = printable(path, 1024)
            problems.append(Problem("unseen-path", where, found + first_few(blind, len(blind)), remedy, len(blind)))
    if problems:
        raise BadUsage(OPTION, problems)


def on_workers(client: Client, function: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    """A function's value, or the exception that it raised, for every worker by its address."""
    found = client.run(function, *arguments, on_error="return")
    return {str(worker): found[worker] for worker in sorted(found)}


def _distributed() -> Module:
    if find_spec("distributed") is None:
        problem = Problem(
            "no-dask", "distributed", MISSING, f"{INSTALL}, or use --engine auto: it gives the same score"
        )
        raise BadUsage("--engine dask", [problem])
    return import_module("distributed")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log off the user's terminal: what matters in it becomes a message of ours."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _client_of(distributed: Module, address: str) -> Client:
    try:
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # no answer; no address; no TLS configured
        found = f"no scheduler answers at {printable(address)}: {printable(error, 200)}"
        remedy = "start one by `dask scheduler`, and give the address that it prints, such as tcp://10.0.0.1:8786"
        raise BadUsage(OPTION, [Problem("no-scheduler", OPTION, found, remedy)]) from None


def _wait_for_worker(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except (OSError, TimeoutError):  # Dask has its own TimeoutError on Python 3.10, and the built-in one later
        found = f"the scheduler at {printable(address)} has had no worker for {WORKER_SECONDS} seconds"
        remedy = f"start some by `dask worker {printable(address)}`"
        raise BadUsage(OPTION, [Problem("no-worker", OPTION, found, remedy)]) from None


def _refuse_mixed_versions(client: Client, address: str, packages: Sequence[str]) -> None:
    """Refuse workers whose software differs: equal counts are promised for equal versions, and pickles need them."""
    problems = []
    checks: list[tuple[str, str, dict[str, Any]]]
    checks = [("python", ".".join(platform.python_version_tuple()[:2]), on_workers(client, platform.python_version))]
    checks += [(package, _own_version(package), on_workers(client, version, package)) for package in packages]
    with suppress(PackageNotFoundError):  # Dask runs on the scheduler what names the functions of tasks
        checks[1][2]["the scheduler"] = MISSING
        checks[1][2]["the scheduler"] = client.run_on_scheduler(version, PACKAGES[0])
    for name, own, found in checks:
        others: dict[str, list[str]] = {}
        for worker, there in found.items():
            text = MISSING if isinstance(there, Exception) else str(there)
            text = ".".join(text.split(".")[:2]) if name == "python" else text
            if text != own:
                others.setdefault(text, []).append(worker)
        for text, workers in sorted(others.items()):
            where = f"{printable(text)} on {first_few(workers, len(workers))}, {own} here"
            remedy = "install the same version on every machine"
            problems.append(Problem("mixed-versions", name, where, remedy, len(workers)))
    if problems:
        raise BadUsage(f"{OPTION} {printable(address)}", problems)


def _own_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return MISSING
