"""Locks keep a second holder out, and no lock is reported where the system has none."""

import errno
import os
from pathlib import Path

import pytest

from piq_bench.write.locks import exclusive_lock, locked_now

fcntl = pytest.importorskip("fcntl")  # Windows has none


def test_a_folder_has_one_holder_at_a_time(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path), pytest.raises(BlockingIOError):
        locked_now(tmp_path)
    held = locked_now(tmp_path)
    assert held is not None
    with pytest.raises(BlockingIOError):
        locked_now(tmp_path)
    os.close(held)


def test_a_failure_inside_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), exclusive_lock(tmp_path):
        raise KeyError
    with exclusive_lock(tmp_path):
        pass


def test_a_file_removed_meanwhile_and_a_link_are_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close, place = os.close, tmp_path / "file"
    place.touch()
    (tmp_path / "link").symlink_to(place)
    with pytest.raises(OSError, match="symbolic"):
        locked_now(tmp_path / "link")
    closed: list[int] = []

    def counted(number: int) -> None:
        closed.append(number)
        close(number)

    monkeypatch.setattr(os, "close", counted)
    monkeypatch.setattr(fcntl, "flock", lambda *_: place.unlink())
    with pytest.raises(FileNotFoundError):
        locked_now(place)
    assert len(closed) == 1


def test_a_file_system_without_locks_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refused)
    assert locked_now(tmp_path) is None
