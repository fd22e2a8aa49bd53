"""What is refused before any work: no Dask, no scheduler, no worker, other versions."""

import importlib.metadata
import platform
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from piq_bench.cli.score import score_command
from piq_bench.cluster import connect
from piq_bench.errors import BadUsage
from piq_bench.retrieve import engines

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")
Cluster = Any


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with distributed.LocalCluster(n_workers=2, processes=False, dashboard_address=None) as found:
        yield found


def test_workers_of_the_same_versions_are_accepted(cluster: Cluster) -> None:
    with connect.connected(cluster.scheduler_address, packages=["pillow"]) as client:
        assert len(client.nthreads()) == 2


@pytest.mark.parametrize(("package", "there"), [("piq-bench", "0.0.7"), ("numpy", "1.2.3"), ("pillow", None)])
def test_other_versions_are_refused(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, package: str, there: str | None
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name != package:
            return real(name)
        if there is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return there

    monkeypatch.setattr(connect, "version", version)
    monkeypatch.setattr(connect, "_own_version", real)
    with (
        pytest.raises(BadUsage, match="install the same version on every machine") as refusal,
        connect.connected(cluster.scheduler_address, packages=["pillow"]),
    ):
        pass
    (problem,) = refusal.value.problems
    assert problem.where == package
    assert problem.found.startswith("not installed on " if there is None else f"{there} on ")
    assert problem.found.endswith(f"{real(package)} here")


def test_another_python_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version_tuple", lambda: ("3", "99", "0"))
    with pytest.raises(BadUsage, match=r"3\.99 here"), connect.connected(cluster.scheduler_address):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "foo://here:1"])
def test_a_scheduler_that_does_not_answer_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 0.2)
    result = CliRunner().invoke(score_command, ["nowhere.npz", "--engine", "dask", "--scheduler", address])
    assert result.exit_code == 2
    assert f"no scheduler answers at {address}" in result.stderr
    assert "dask scheduler" in result.stderr
    assert "Traceback" not in result.output


def test_a_scheduler_without_workers_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "WORKER_SECONDS", 0.1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty,
        pytest.raises(BadUsage, match="dask worker inproc://"),
    ):
        connect.check_scheduler(empty.scheduler_address)


def test_without_dask_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "find_spec", lambda name: None)
    with pytest.raises(BadUsage, match=r"pip install 'piq-bench\[dask\]'"):
        engines.choose("dask", 1)


def test_a_scheduler_for_another_engine_is_refused() -> None:
    with pytest.raises(BadUsage, match="add --engine dask"):
        engines.choose("cpu", 1, scheduler="tcp://127.0.0.1:1")
