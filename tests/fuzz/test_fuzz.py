"""A short run of the fuzzer finds nothing in the readers, and finds what a bad reader does."""

import os
import signal
import sys
import time
from itertools import islice
from pathlib import Path
from random import Random
from unittest.mock import Mock

import pytest
from fuzz import command, worker
from fuzz.command import fuzz
from fuzz.readers import ALL_READERS, READERS, Reader
from fuzz.worker import Finding, judged, made

from piq_bench.errors import BadUsage, Problem

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fuzzer needs signals of POSIX")
SECONDS = 3.0  # a job of its own runs longer


def test_no_reader_ends_otherwise_than_with_a_refusal() -> None:
    executions, findings = fuzz(list(READERS), 0, SECONDS)
    assert findings == []
    assert all(executions[name] > 0 for name in READERS)


@pytest.mark.parametrize("name", READERS)
def test_inputs_are_made_again_from_their_number(name: str) -> None:
    assert made(name, 0, 3) == made(name, 0, 3)
    assert any(made(name, 0, number) != made(name, 1, number) for number in range(5))


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (None, None),
        (BadUsage("x", [Problem("x", "x", "x", "x")]), None),
        (BadUsage("x", [Problem("x", "x", "\ud800", "x")]), "UnicodeEncodeError"),
        (RecursionError(), "RecursionError"),
    ],
)
def test_a_traceback_is_a_finding(error: Exception | None, found: str | None, tmp_path: Path) -> None:
    def read(folder: Path) -> None:
        if error is not None:
            raise error

    kinds = [what for what, _ in judged(Reader(lambda draw: {}, read), {"a": b"1"}, tmp_path)]
    assert (not kinds) if found is None else kinds[0].startswith(found)


def test_much_memory_is_a_finding(tmp_path: Path) -> None:
    reader = Reader(lambda draw: {}, lambda folder: Random(0).randbytes(1) * (320 << 20))
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("no peak of memory here")
    worker._reset_peak()  # other tests of this process may have taken more
    assert [what for what, _ in judged(reader, {}, tmp_path)] == ["takes much memory"]


def test_a_crash_of_a_reader_that_may_crash_is_no_finding_and_the_next_input_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(lambda draw: {}, lambda folder: os.abort(), may_crash=True)
    monkeypatch.setitem(ALL_READERS, "npz", reader)
    numbers = worker._turn_apart(Mock(), "npz", 0, 5, time.monotonic() + 99, tmp_path)
    assert list(islice(numbers, 3)) == [6, 7, 8]


def test_every_copy_of_the_process_finds_its_benchmark(tmp_path: Path) -> None:
    def send(message: object) -> None:
        with (tmp_path / "sent").open("a", encoding="utf-8") as stream:
            stream.write(f"{message}\n")

    for number in range(2):
        list(worker._turn_apart(Mock(send=send), "Parquet submission", 0, number, 0.0, tmp_path))
    sent = (tmp_path / "sent").read_text(encoding="utf-8").splitlines()
    assert sent == [f"('Parquet submission', {number})" for number in range(2)]


def test_a_bug_beside_a_reader_that_may_crash_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "judged", None)
    results = Mock()
    monkeypatch.setitem(ALL_READERS, "npz", Reader(lambda draw: {}, str, may_crash=True))
    assert list(worker._turn_apart(results, "npz", 0, 5, time.monotonic() + 9, tmp_path)) == [6]
    results.send.assert_called_once_with(Finding("npz", 5, "ends with 1", ""))


def test_a_run_that_is_interrupted_prints_its_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_all(*arguments: object) -> None:
        arguments[4].update({"npz": 7})  # type: ignore[attr-defined]
        arguments[5].append(Finding("npz", 3, "hangs", ""))  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_run_all", run_all)
    monkeypatch.setattr(signal, "signal", Mock())
    assert command.main(["npz"]) == 1
    assert "7 executions, 1 findings" in capsys.readouterr().out
