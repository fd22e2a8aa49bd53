"""The program for GPUs: each part runs on a CPU, and a part that fails in any way is a row of the table."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import gpu
from benchmarks.gpu import Part, Row, Where

SMALL = Where("cpu", small=True)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the program: threads would wait for each other."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that a test starts import this file for its functions, by the name that pytest gives it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.mark.parametrize("part", gpu.PARTS, ids=lambda part: part.name)
def test_a_part_runs_on_a_cpu(part: Part) -> None:
    rows = list(part.run(SMALL))
    assert rows
    assert all(row.part and row.result for row in rows)


def test_wrong_counts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "expected", lambda given: ([], []))
    with pytest.raises(RuntimeError, match=r"8 of 8 counts are wrong: .*random_rows, cosine, 3"):
        list(gpu.correctness(SMALL, faiss=False))


def fine(where: Where) -> Iterator[Row]:
    yield Row("fine", f"on {where.device}", "a | b")


def raising(where: Where) -> Iterator[Row]:
    yield Row("raising", "a row before")
    raise ValueError("no luck\nand more")


def endless(where: Where) -> Iterator[Row]:
    yield Row("endless", "a row before")
    time.sleep(60)


def crashing(where: Where) -> Iterator[Row]:
    print("faiss says goodbye", flush=True)
    os.abort()
    yield Row("never", "seen")


def test_a_failure_is_a_row_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = (gpu.PARTS[0]._replace(run=fine), Part("raising", 30, raising), Part("crashing", 30, crashing))
    monkeypatch.setattr(gpu, "PARTS", (*parts, Part("endless", 0.2, endless), Part("fine", 30, fine)))
    monkeypatch.setattr(gpu, "PRELOADED", [])
    assert gpu.main(["--device", "cpu", "--small"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "| part | result | compare with |",
        "|---|---|---|",
        "| fine | on cpu | a / b |",
        "| raising | a row before |  |",
        "| raising | failed: ValueError: no luck |  |",
        "| crashing | failed: SIGABRT faiss says goodbye |  |",
        "| endless | a row before |  |",
        "| endless | failed: stopped after 0.2 s |  |",
        "| fine | on cpu | a / b |",
    ]


def test_without_the_device_there_is_no_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "PRELOADED", [])
    monkeypatch.setattr(gpu, "PARTS", (Part("device", 30, raising_at_once), *gpu.PARTS[1:]))
    assert gpu.main([]) == gpu.NO_DEVICE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "cuda:0 cannot be used here: RuntimeError: torch sees no GPU\n"


def raising_at_once(where: Where) -> Iterator[Row]:
    raise RuntimeError("torch sees no GPU")


def test_a_machine_without_gpu_is_refused() -> None:
    if pytest.importorskip("torch").cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match="sees no GPU; --device cpu --small"):
        list(gpu.machine(Where("cuda:0", small=False)))
