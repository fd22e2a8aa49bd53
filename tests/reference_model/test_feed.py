"""Batches of images: the same bits from memory, from a file or prefetched; the thread ends with its consumer."""

import threading
from pathlib import Path

import numpy as np
import pytest

from piq_bench.records import Pixels

torch = pytest.importorskip("torch")
feeds = pytest.importorskip("reference_model.feed")

CPU = torch.device("cpu")
ROWS = np.array([[3, 0, 3, 9], [9, 1, 2, 0], [5, 6, 7, 8], [4, 4, 4, 4], [0, 1, 2, 3]])


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (10, 4, 2, 3)).astype(np.uint8)


@pytest.fixture
def stored(pixels: Pixels, tmp_path: Path) -> Pixels:
    found = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=pixels.shape)
    found[:] = pixels
    return found


def test_a_file_feeds_the_same_as_memory(pixels: Pixels, stored: Pixels) -> None:
    in_memory, from_file = feeds.Feed(pixels, CPU), feeds.Feed(stored, CPU)
    assert in_memory.resident is not None
    assert from_file.resident is None
    for feed in (in_memory, from_file):
        for _ in range(2):
            assert (torch.stack(list(feed.batches(ROWS))).numpy() == pixels[ROWS]).all()
        assert not list(feed.batches(ROWS[:0]))


def test_only_a_few_batches_are_prefetched(pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.zeros((100, 2), dtype=np.int64)
    read: list[int] = []
    real = feeds._read_batch

    def counted(*given: object) -> object:
        read.append(1)
        return real(*given)

    monkeypatch.setattr(feeds, "_read_batch", counted)
    before = threading.active_count()
    batches = feeds.prefetched_batches(pixels, rows, CPU)
    for _ in range(5):
        next(batches)
    batches.close()
    assert 5 <= len(read) <= 5 + feeds.N_PREFETCHED
    assert threading.active_count() == before


def test_a_failure_while_prefetching_is_raised_and_ends_the_thread(pixels: Pixels) -> None:
    before = threading.active_count()
    batches = feeds.prefetched_batches(pixels, np.array([[0], [10]]), CPU)
    next(batches)
    with pytest.raises(IndexError):
        next(batches)
    assert threading.active_count() == before


def test_a_gpu_keeps_what_leaves_room_for_the_network(
    pixels: Pixels, stored: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def memory(device: object) -> tuple[int, int]:
        asked.append(device)
        return free, 1 << 40

    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    device = torch.device("cuda:1")
    for one in (pixels, stored):
        free = int(one.nbytes / feeds.GPU_SHARE)
        assert feeds._fits_on_device(one, device)
        free -= 1
        assert not feeds._fits_on_device(one, device)
    assert asked == [device] * 4
