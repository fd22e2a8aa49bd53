"""A short run of the fuzzer finds nothing in the readers, and finds what a bad reader does."""

import sys
from pathlib import Path
from random import Random

import pytest
from fuzz import worker
from fuzz.command import fuzz
from fuzz.readers import READERS, Reader
from fuzz.worker import judged, made

from piq_bench.errors import BadUsage, Problem

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fuzzer needs signals of POSIX")
SECONDS = 8.0


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
