"""Another process unpacks, with memory and time that follow from the file's size."""

import os
import re
import subprocess
import time
from contextvars import copy_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unpacking_here import unpack_here

from piq_bench import limits
from piq_bench.cli.ahead import tables_ahead
from piq_bench.errors import BadDataset, LimitExceeded
from piq_bench.read import table, unpacking
from piq_bench.read.table import read_table

pytestmark = pytest.mark.apart
SOURCES = Path(__file__).parents[2]
ANSWERS = f"print({unpacking.ANSWER!r}, flush=True)"
SPEND = """\
import json, sys
start, request = (json.loads(sys.stdin.readline()) for _ in range(2))
sys.path[:] = start["modules"]
from piq_bench.read.unpacking import limit_process
limit_process(request["most_bytes"], 1)
"""


@pytest.mark.parametrize(
    ("spent", "code"), [("bytearray(1 << 27)", "too-large"), ("while True: pass", "too-slow")], ids=["memory", "time"]
)
def test_a_process_that_takes_too_much_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spent: str, code: str
) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n")
    monkeypatch.setattr(unpacking, "CHILD", SPEND + spent)
    with pytest.raises(LimitExceeded) as refused:
        unpacking.unpack_apart("", tmp_path / "a.csv", tmp_path, {})
    assert [problem.code for problem in refused.value.problems] == [code]


def test_a_process_that_hangs_without_computing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n")
    pid = tmp_path / "pid"
    sleeps = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(unpacking, "CHILD", sleeps)
    monkeypatch.setattr(limits, "FREE_WAITING_SECONDS", 0.2)
    monkeypatch.setattr(limits, "WAITING_TIMES", 0.1)
    start = time.monotonic()
    with pytest.raises(LimitExceeded, match=r"was not unpacked within 0\.5 s"):  # 0.2 s and a tenth of 3 s
        unpacking.unpack_apart("", tmp_path / "a.csv", tmp_path, {})
    assert time.monotonic() - start < 30
    if pid.exists() and os.name == "posix":  # it may have ended before it came so far; on Windows, 0 is a real signal
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


def test_a_process_finds_the_bytecode_that_this_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n")
    report = tmp_path / unpacking.REPORT
    child = f"import sys; open({str(report)!r}, 'w').write(str(sys.pycache_prefix)); {ANSWERS}"
    monkeypatch.setattr(unpacking, "CHILD", child)
    for prefix in (None, str(tmp_path / "bytecode")):
        monkeypatch.setattr("sys.pycache_prefix", prefix)
        assert unpacking.unpack_apart("", tmp_path / "a.csv", tmp_path, {})
        assert report.read_text(encoding="utf-8") == str(prefix)


def test_a_larger_file_may_take_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(bytes(1 << 20))
    monkeypatch.setattr(unpacking, "CHILD", SPEND + f"bytearray(1 << 27); {ANSWERS}")
    assert not unpacking.unpack_apart("", tmp_path / "a.csv", tmp_path, {})  # it ends well, without a report


def test_a_table_whose_pages_hold_more_than_its_footer_says_is_refused(tmp_path: Path) -> None:
    """Each text is said to begin like the one before: a kilobyte unpacks to 300 MB."""
    texts = pa.array([f"{'a' * 100_000}{number}" for number in range(3_000)])
    options = {"compression": "zstd", "use_dictionary": False, "column_encoding": {"image": "DELTA_BYTE_ARRAY"}}
    pq.write_table(pa.table({"image": texts}), tmp_path / "a.parquet", **options)
    with pytest.raises(LimitExceeded, match="bytes that a file of its size may take"):
        read_table(tmp_path / "a.parquet")


def test_a_table_on_which_the_library_crashes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "a.parquet")
    monkeypatch.setattr(unpacking, "CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(BadDataset, match="crashed while unpacking it"):
        read_table(tmp_path / "a.parquet")


def test_no_process_starts_for_a_csv_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    (tmp_path / "a.csv").write_text("image\na\n")
    assert list(read_table(tmp_path / "a.csv")[0].columns["image"]) == ["a"]


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "RLE_DICTIONARY"])
def test_a_table_in_any_encoding_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(table, "unpack_apart", unpack_here)
    texts = [f"image{number}.jpg" for number in np.arange(20) % 7]
    options = {} if encoding == "RLE_DICTIONARY" else {"use_dictionary": False, "column_encoding": encoding}
    pq.write_table(pa.table({"image": texts}), tmp_path / "a.parquet", **options)
    assert list(read_table(tmp_path / "a.parquet")[0].columns["image"]) == texts


def test_a_table_of_every_kind_of_column_is_read_without_numpy(tmp_path: Path) -> None:
    """Arrow takes numpy if it is there, and some of its functions ask for pandas."""
    assert "numpy" in unpacking.WITHOUT[unpacking.TABLE]
    texts = ["a", None, "é", "a"]
    columns = {
        "plain": pa.array(texts),
        "encoded": pa.array(texts).dictionary_encode(),
        "large": pa.array(texts, pa.large_string()),
        "number": pa.array([7, None, -1, 7]),
        "codes": pa.array([7, None, -1, 7]).dictionary_encode(),
        "empty": pa.nulls(4),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", use_dictionary=["encoded", "number"])
    found, problems = read_table(tmp_path / "a.parquet")
    assert not problems
    for name in ("plain", "encoded", "large"):
        assert list(found.columns[name]) == ["a", "", "é", "a"]
    for name in ("number", "codes"):
        assert list(found.columns[name]) == ["7", "", "-1", "7"]
    assert list(found.columns["empty"]) == [""] * 4
    pq.write_table(pa.table(columns).slice(0, 0), tmp_path / "none.parquet")
    assert read_table(tmp_path / "none.parquet")[0].n_rows == 0


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the size of files")
def test_a_full_disk_is_a_limit_and_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"image": [f"{number:06}" for number in range(1000)]}), tmp_path / "a.parquet")
    full = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    full += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    monkeypatch.setattr(unpacking, "CHILD", full + unpacking.CHILD)
    with pytest.raises(LimitExceeded) as refused:
        read_table(tmp_path / "a.parquet")
    assert [problem.code for problem in refused.value.problems] == ["no-room"]


def test_only_processes_of_their_own_open_parquet_files() -> None:
    """The Parquet library ends the process on some damaged files, some of them as soon as it sees the footer."""
    opens = re.compile(
        r"(pq|parquet)\.(read_|ParquetFile|ParquetDataset|FileMetaData)|pyarrow\.dataset|pd\.read_parquet"
    )
    found = {
        path.relative_to(SOURCES).as_posix()
        for room in ("piq_bench", "reference_model")
        for path in (SOURCES / room).rglob("*.py")
        if opens.search(path.read_text(encoding="utf-8"))
    }
    assert {Path(name).stem for name in found} == {
        "unpack_parquet",
        "unpack_schema",
        "unpack_split",
        "unpack_table",
        "unpacking",
    }


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> "list[subprocess.Popen[str]]":
    """All processes that are started."""
    found: list[subprocess.Popen[str]] = []
    start = unpacking._start

    def watched(module: str) -> "subprocess.Popen[str]":
        found.append(start(module))
        return found[-1]

    monkeypatch.setattr(unpacking, "_start", watched)
    return found


def test_one_process_reads_all_tables_of_a_command(tmp_path: Path, children: "list[subprocess.Popen[str]]") -> None:
    files = [tmp_path / f"{number}.parquet" for number in range(5)]
    for number, file in enumerate(files):
        pq.write_table(pa.table({"image": ["a", str(number)]}), file)
    with unpacking.unpacker_started():
        assert len(children) == 1
        reading = [table.read_ahead(file) for file in files]
        for number, read in enumerate(reading):
            found, problems = read()
            assert list(found.columns["image"].rows()) == ["a", str(number)] and not problems
        assert [child.poll() for child in children] == [None]
    assert [child.returncode is None for child in children] == [False]
    assert read_table(files[3])[0].n_rows == 2
    assert [child.returncode is None for child in children] == [False, False]


def test_a_table_is_read_after_one_on_which_the_process_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: "list[subprocess.Popen[str]]"
) -> None:
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "good.parquet")
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "bad.parquet")
    ends = "    if 'bad' in request['path']: os.abort()\n    main(request)\n"
    monkeypatch.setattr(unpacking, "CHILD", unpacking.CHILD.replace("    main(request)\n", ends))
    with unpacking.unpacker_started():
        for _ in range(2):
            assert read_table(tmp_path / "good.parquet")[0].n_rows == 1
            with pytest.raises(BadDataset, match="crashed while unpacking it"):
                read_table(tmp_path / "bad.parquet")
        assert read_table(tmp_path / "good.parquet")[0].n_rows == 1
    assert len(children) == 3 and all(child.returncode is not None for child in children)


def test_limits_of_a_file_do_not_hold_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n")
    tells = "    open(request['folder'] + '/report.json', 'w').write(str(resource.getrlimit(resource.RLIMIT_CPU)[0]))\n"
    child = unpacking.CHILD.replace("    main(request)\n", tells).replace("import ", "import resource, ", 1)
    monkeypatch.setattr(unpacking, "CHILD", child)
    with unpacking.unpacker_started():
        for seconds in (3, 700, 5):
            monkeypatch.setattr(unpacking, "unpacking_seconds", lambda n_bytes, seconds=seconds: seconds)
            assert unpacking.unpack_apart(unpacking.TABLE, tmp_path / "a.csv", tmp_path, {})
            assert seconds <= int((tmp_path / unpacking.REPORT).read_text()) < seconds + 2


def test_a_process_that_nothing_was_asked_of_ends(tmp_path: Path, children: "list[subprocess.Popen[str]]") -> None:
    with unpacking.unpacker_started():
        assert [child.poll() for child in children] == [None]
    assert [child.returncode is None for child in children] == [False]
    (tmp_path / "annotations.parquet").touch()
    with tables_ahead(tmp_path):
        assert len(children) == 2
    for nothing in (None, tmp_path / "absent", Path("a\0b")):
        with tables_ahead(nothing):
            assert len(children) == 2


def test_a_command_that_ends_does_not_wait_for_a_process_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: "list[subprocess.Popen[str]]"
) -> None:
    """One that refuses the annotations needs no groups."""
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "a.parquet")
    waits = "    while not os.path.exists(request['path'] + '.go'): pass\n    main(request)\n"
    monkeypatch.setattr(unpacking, "CHILD", unpacking.CHILD.replace("    main(request)\n", waits))
    with unpacking.unpacker_started():
        unpacker = unpacking._of_tables.get()
        assert unpacker is not None
        context = copy_context()
        reading = table.read_ahead(tmp_path / "a.parquet")
        while not unpacker.turn.locked():
            time.sleep(0.01)
    assert [child.poll() for child in children] == [None]
    (tmp_path / "a.parquet.go").touch()
    assert reading()[0].n_rows == 1
    assert context.run(read_table, tmp_path / "a.parquet")[0].n_rows == 1  # a thread that has its turn only now
    assert [child.returncode is None for child in children] == [False, False]


def test_what_libraries_print_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: "list[subprocess.Popen[str]]"
) -> None:
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "a.parquet")
    prints = """\
    for stream in (sys.stdout, sys.stderr):
        print("\\n" * 200_000, "end", end="", file=stream)
"""
    child = unpacking.CHILD.replace("    main(request)\n", f"{prints}    main(request)\n")
    monkeypatch.setattr(unpacking, "CHILD", child)
    with unpacking.unpacker_started():
        for _ in range(2):
            assert read_table(tmp_path / "a.parquet")[0].n_rows == 1
    assert len(children) == 1


def test_a_process_that_cannot_start_ahead_starts_when_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    start = unpacking._start

    def refuse_once(module: str) -> "subprocess.Popen[str]":
        asked.append(module)
        if len(asked) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(module)

    monkeypatch.setattr(unpacking, "_start", refuse_once)
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "a.parquet")
    with unpacking.unpacker_started():
        assert read_table(tmp_path / "a.parquet")[0].n_rows == 1
    assert asked == [unpacking.TABLE] * 2
