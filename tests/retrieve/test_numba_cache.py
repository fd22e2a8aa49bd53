"""Compiled functions work wherever their cache can or cannot be kept."""

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

caching: Any = pytest.importorskip("numba.core.caching")

from piq_bench.retrieve import numba_cache  # noqa: E402


def doubled(value: int) -> int:
    return 2 * value


def refuse(*arguments: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither the folder of the module nor the user's cache can be written to."""
    monkeypatch.setattr(caching.InTreeCacheLocator, "ensure_cache_path", refuse)
    monkeypatch.setattr(caching.UserWideCacheLocator, "ensure_cache_path", refuse)
    monkeypatch.setattr(numba_cache.CONFIG, "CACHE_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    numba_cache._temporary_folder.cache_clear()
    return tmp_path


def test_a_read_only_installation_uses_a_private_temporary_folder(read_only: Path) -> None:
    assert numba_cache.njit()(doubled)(4) == 8
    (folder,) = read_only.glob("piq-bench-numba-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert any(folder.rglob("*.nbc"))


def test_a_folder_that_others_can_write_to_is_not_trusted(read_only: Path) -> None:
    folder = numba_cache._temporary_folder()
    assert folder is not None
    folder.chmod(0o777)
    numba_cache._temporary_folder.cache_clear()
    assert numba_cache.njit()(doubled)(4) == 8
    assert not any(folder.rglob("*"))


def test_a_full_disk_costs_the_cache_alone(read_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.Cache, "_save_overload", refuse)
    assert numba_cache.njit()(doubled)(4) == 8
