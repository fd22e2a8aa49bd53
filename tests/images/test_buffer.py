"""The buffer for images is in memory if it fits, else in a file that leaves nothing behind; a full disk is refused."""

import errno
import os
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from piq_bench.errors import EXIT_LIMIT, LimitExceeded
from piq_bench.images import buffer

SHAPE = (5, 4, 2, 3)
N_BYTES = 5 * 4 * 2 * 3


def test_memory_is_taken_up_to_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "available_memory", lambda: N_BYTES / buffer.MEMORY_SHARE)
    assert not isinstance(buffer.pixel_buffer(SHAPE, tmp_path), np.memmap)
    monkeypatch.setattr(buffer, "available_memory", lambda: N_BYTES / buffer.MEMORY_SHARE - 1)
    assert isinstance(buffer.pixel_buffer(SHAPE, tmp_path), np.memmap)
    assert not isinstance(buffer.pixel_buffer(SHAPE, None), np.memmap)


@pytest.mark.parametrize("reserves", [True, False])
def test_a_file_holds_what_is_written_and_leaves_nothing(
    reserves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffer, "available_memory", lambda: 0.0)
    monkeypatch.setattr(buffer, "ZEROS", bytes(7))
    if not reserves:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    found = buffer.pixel_buffer(SHAPE, tmp_path / "not" / "there")
    content = np.arange(N_BYTES, dtype=np.uint8).reshape(SHAPE)
    found[:] = content
    assert found.shape == SHAPE
    assert (found == content).all()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reserves", [True, False])
def test_a_full_disk_is_refused_before_anything_is_read(
    reserves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(buffer, "available_memory", lambda: 0.0)
    if reserves:
        monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    else:
        monkeypatch.setattr(buffer, "_reserve", full)
    with pytest.raises(LimitExceeded, match=r"0\.0 GiB of decoded images .* No space left on device") as refusal:
        buffer.pixel_buffer(SHAPE, tmp_path)
    assert refusal.value.exit_code == EXIT_LIMIT
    assert "free some space" in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_limit_of_the_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = buffer.available_memory()
    assert 2**20 < unlimited < 2**50
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(buffer, "MEMORY_LIMITS", (str(tmp_path / "none"), str(limit)))
    limit.write_text("max\n", encoding="ascii")
    assert buffer.available_memory() > 4096
    limit.write_text("4096\n", encoding="ascii")
    assert buffer.available_memory() == 4096
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert buffer.available_memory() == 1024


def test_zeros_fill_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(buffer, "ZEROS", bytes(7))
    stream: IO[bytes]
    with (tmp_path / "file").open("w+b") as stream:
        buffer._reserve(stream, 23)
    assert (tmp_path / "file").read_bytes() == bytes(23)
