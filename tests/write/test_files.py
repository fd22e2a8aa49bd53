"""A place where no file or folder can be made is bad usage, with the place and a remedy."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from piq_bench.errors import BadUsage, LimitExceeded
from piq_bench.write import files
from piq_bench.write.files import _prefix, new_folder, write_text, write_texts, written_whole

MEMORY = Path("/dev/shm")  # noqa: S108  (a folder of our own is made there)


@pytest.mark.parametrize("writing", [written_whole, new_folder])
def test_a_place_that_cannot_be_written_is_bad_usage(
    writing: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # messages cut long paths
    with pytest.raises(BadUsage) as refusal, writing(Path("nowhere", "out")):
        raise AssertionError
    (problem,) = refusal.value.problems
    assert problem.code == "cannot-write" and "nowhere': No such file or directory" in problem.found
    assert "folder" in problem.remedy


def test_a_device_receives_the_text_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text, encoding="utf-8")
        write_text(pipe, "text")
        assert read.result() == "text"
    assert pipe.is_fifo()
    write_text(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()


@pytest.mark.skipif(not MEMORY.is_dir(), reason="this system keeps no files there")
def test_a_file_in_memory_is_replaced_and_standard_output_is_not() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        out = Path(folder, "out")
        for text in ("old", "new"):
            write_text(out, text)
        assert out.read_text(encoding="utf-8") == "new"
        program = "from pathlib import Path; from piq_bench.write.files import write_text; "
        program += "print('first', flush=True); write_text(Path('/dev/stdout'), 'second')"
        with out.open("wb") as stream:
            subprocess.run([sys.executable, "-c", program], stdout=stream, check=True)
        assert out.read_text(encoding="utf-8") == "first\nsecond"


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.txt", tmp_path / "link"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o640)
    link.symlink_to("there/a.txt")
    write_text(link, "new")
    assert link.is_symlink() and target.read_text(encoding="utf-8") == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.rglob("*")} == {"there", "a.txt", "link"}


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    for name in ("x" * 255, "x" * 100 + "." + "y" * 154):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text(encoding="utf-8") == "text"
    with new_folder(tmp_path / ("z" * 255)) as folder:
        (folder / "a").touch()
    for writing in (written_whole, new_folder):
        with pytest.raises(BadUsage, match="File name too long"), writing(tmp_path / ("x" * 256)):
            raise AssertionError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
@pytest.mark.parametrize("writing", [written_whole, new_folder])
def test_a_full_disk_is_a_limit_and_leaves_nothing(
    writing: Callable[[Path], AbstractContextManager[Path]], number: int, tmp_path: Path
) -> None:
    with pytest.raises(LimitExceeded) as refusal, writing(tmp_path / "out"):
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            raise RuntimeError("as a library reports it") from error
    assert refusal.value.problems[0].code == "no-room"
    assert not list(tmp_path.iterdir())


def test_no_file_of_several_is_replaced_if_one_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old", encoding="utf-8")
    with pytest.raises(BadUsage):
        write_texts({tmp_path / "a": "new", tmp_path / "no" / "b": "new"})
    assert (tmp_path / "a").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    abandoned = [tmp_path / f"{_prefix(tmp_path / 'out')}{kind}" for kind in ("file", "folder")]
    abandoned[0].touch()
    (abandoned[1] / "deep").mkdir(parents=True)
    (tmp_path / ".piq-other").touch()
    with written_whole(tmp_path / "out") as first, written_whole(tmp_path / "out") as second:
        assert first.exists() and second.exists() and first != second
        assert not any(path.exists() for path in abandoned)
    assert {path.name for path in tmp_path.iterdir()} == {"out", ".piq-other"}


def test_the_slower_of_two_writers_of_a_folder_is_told(tmp_path: Path) -> None:
    faster = ExitStack()
    with pytest.raises(BadUsage, match="nothing is ever overwritten"), new_folder(tmp_path / "out"), faster:
        (faster.enter_context(new_folder(tmp_path / "out")) / "a").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_may_be_replaced_is_replaced_or_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "old").mkdir(parents=True)
    with pytest.raises(KeyError), new_folder(out, replace=True):
        raise KeyError
    assert [path.name for path in out.iterdir()] == ["old"]
    with new_folder(out, replace=True) as folder:
        (folder / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_taken_temporary_name_leads_to_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(["one", "one", "two"])
    monkeypatch.setattr("piq_bench.write.files.secrets.token_hex", lambda _: next(numbers))
    first, lock = files._locked(tmp_path / "out.json")
    second, other = files._locked(tmp_path / "out.json")
    assert [path.name.rpartition("-")[2] for path in (first, second)] == ["one.json", "two.json"]
    for one in (lock, other):
        assert one is not None
        os.close(one)
    monkeypatch.setattr("piq_bench.write.files.secrets.token_hex", lambda _: "one")
    with pytest.raises(FileExistsError, match="every temporary name"):
        files._locked(tmp_path / "out.json")


def test_abandoned_folders_are_removed_and_those_in_use_are_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    kept, lock = files._locked(out, is_folder=True)
    left, abandoned = files._locked(out, is_folder=True)
    assert lock is not None and abandoned is not None
    (left / "file").touch()
    os.close(abandoned)
    with files.new_folder(out):
        assert kept.is_dir() and not left.exists()
    os.close(lock)
    assert out.is_dir()


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "locked_now", lambda _: None)
    left, lock = files._locked(tmp_path / "out")
    assert lock is None
    with files.written_whole(tmp_path / "out") as place:
        place.write_text("text")
    assert left.exists() and (tmp_path / "out").read_text() == "text"


def test_a_replaced_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        if target == out and self.suffix != ".old":
            raise OSError(errno.EIO, "no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(BadUsage), files.new_folder(out, replace=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (out / "old").exists()
