"""A Parquet file that memory does not suffice for is a limit; it is not called damaged."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from piq_bench.errors import LimitExceeded
from piq_bench.read import parquet, unpacking
from piq_bench.read.container import Limits
from piq_bench.read.unpack_parquet import unpack

pytestmark = pytest.mark.apart

LIMITS = Limits(n_rows=2, max_columns={"image": 1, "embedding": 8})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "entry.parquet"
    pq.write_table(pa.table({"image": ["a", "b"]}), path)
    return path


@pytest.mark.parametrize("error", [pa.ArrowMemoryError("malloc of size 64 failed"), pa.ArrowInvalid("std::bad_alloc")])
def test_memory_that_runs_out_in_the_library_is_no_damage(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def read(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("piq_bench.read.unpack_parquet._to_array", read)
    with pytest.raises(MemoryError):
        unpack(file, LIMITS)


def ends(words: str, how: str) -> str:
    """A program that ends with some words on stderr."""
    after = "import os, signal, sys; [sys.stdin.readline() for _ in range(2)]"
    return f"{after}; sys.stderr.write({words!r}); sys.stderr.flush(); {how}"


@pytest.mark.parametrize(
    ("words", "how"),
    [
        ("ImportError: libarrow.so: failed to map segment", "os._exit(1)"),
        ("terminate called: std::bad_alloc", "os.kill(os.getpid(), signal.SIGABRT)"),
        ("", "os.kill(os.getpid(), signal.SIGKILL)"),
    ],
)
def test_a_process_that_dies_for_want_of_memory_is_a_limit(
    file: Path, monkeypatch: pytest.MonkeyPatch, words: str, how: str
) -> None:
    monkeypatch.setattr(unpacking, "CHILD", ends(words, how))
    with pytest.raises(LimitExceeded, match="ulimit -v"):
        parquet.read_parquet(file, LIMITS)


def test_a_full_folder_for_temporary_files_is_a_limit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "CHILD", ends("OSError: 1400 requested and 391 written", "os._exit(1)"))
    with pytest.raises(LimitExceeded, match="TMPDIR"):
        parquet.read_parquet(file, LIMITS)
