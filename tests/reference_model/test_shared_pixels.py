"""Images shared by several processes: one decodes them, all see them, and a refusal reaches all."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from piq_bench.errors import BadDataset, Problem
from piq_bench.records import Pixels

torch = pytest.importorskip("torch")
shared = pytest.importorskip("reference_model.shared_pixels")

SHAPE = (4, 3, 2, 3)
CONTENT = np.arange(72, dtype=np.uint8).reshape(SHAPE)


def fill(pixels: Pixels) -> None:
    pixels[:] = CONTENT


def never(pixels: Pixels) -> None:
    pytest.fail("decoded")


@pytest.fixture
def of_two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, list[object]], None]]:
    """Makes this process one of two; `gathered` holds what the earlier ones sent, and what this one sends is added."""
    with ExitStack() as opened:

        def be(place: int, gathered: list[object]) -> None:
            def gather(found: list[object], own: tuple[str, object]) -> None:
                if own[0]:  # kept open, as the first process does until all have mapped it
                    opened.callback(os.close, os.open(own[0], os.O_RDONLY))
                gathered.append(own)
                found[:] = gathered[:2] + [("", None)] * (2 - len(gathered))

            monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
            monkeypatch.setenv("LOCAL_RANK", str(place))
            monkeypatch.setattr(shared, "n_processes", lambda: 2)
            monkeypatch.setattr(shared, "rank", lambda: place)
            monkeypatch.setattr(shared.distributed, "all_gather_object", gather)
            monkeypatch.setattr(shared.distributed, "barrier", lambda: None)

        yield be


needs_linux = pytest.mark.skipif(not shared.OPEN_FILES.is_dir(), reason="files without a name cannot be shared here")


def test_one_process_keeps_its_images_for_itself(tmp_path: Path) -> None:
    for folder in (tmp_path, None):
        found = shared.decode_once(SHAPE, folder, fill)
        assert not isinstance(found, np.memmap)
        assert (found == CONTENT).all()


@needs_linux
def test_the_second_process_sees_what_the_first_decodes(
    of_two: Callable[[int, list[object]], None], tmp_path: Path
) -> None:
    gathered: list[object] = []
    of_two(0, gathered)
    first = shared.decode_once(SHAPE, tmp_path, fill)
    assert (first == CONTENT).all()
    with (tmp_path / "open").open("w+b") as stream:  # what the first process would still have open
        stream.write(CONTENT.tobytes())
        stream.flush()
        of_two(1, [(f"/proc/{os.getpid()}/fd/{stream.fileno()}", None)])
        second = shared.decode_once(SHAPE, tmp_path, never)
    assert (second == CONTENT).all()
    assert [path.name for path in tmp_path.iterdir()] == ["open"]


@needs_linux
def test_a_refusal_reaches_all_processes(of_two: Callable[[int, list[object]], None], tmp_path: Path) -> None:
    refusal = BadDataset("small", [Problem("empty-file", "images", "1 image", "fix it")])

    def refuse(pixels: Pixels) -> None:
        raise refusal

    gathered: list[object] = []
    of_two(0, gathered)
    with pytest.raises(BadDataset, match="fix it"):
        shared.decode_once(SHAPE, tmp_path, refuse)
    of_two(1, gathered)
    with pytest.raises(BadDataset, match="fix it"):
        shared.decode_once(SHAPE, tmp_path, never)
    assert not list(tmp_path.iterdir())
