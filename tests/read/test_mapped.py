"""Memory-mapped arrays have the values of arrays in memory and keep only the requested rows in memory."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from piq_bench.errors import BadSubmission
from piq_bench.read import strided
from piq_bench.read.mapped import is_mapped, map_array, release, row_blocks, rows_of

OFFSET = 24


def stored(folder: Path, values: np.ndarray) -> np.ndarray:
    path = folder / "values"
    path.write_bytes(bytes(OFFSET) + values.tobytes())
    return map_array(path, values.dtype, values.size, OFFSET).reshape(values.shape)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 39), max_size=60), dtype=st.sampled_from(["<f2", "<f4", ">f4", "<U3"]))
def test_rows_come_in_the_requested_order(rows: list[int], dtype: str, tmp_path: Path) -> None:
    values = np.arange(120).reshape(40, 3).astype(dtype)
    wanted = np.array(rows, dtype=np.int64)
    fortran = stored(tmp_path, np.ascontiguousarray(values.T)).T
    for array in (values, fortran, np.memmap(tmp_path / "values", values.dtype, "r", OFFSET, (40, 3))):
        assert rows_of(array, wanted).tolist() == array[wanted].tolist()
    array = stored(tmp_path, values)
    assert rows_of(array, wanted).tolist() == values[wanted].tolist()
    assert rows_of(array[3:], wanted[wanted < 37]).tolist() == values[3:][wanted[wanted < 37]].tolist()
    assert rows_of(array[:, 0], wanted).tolist() == values[wanted, 0].tolist()
    assert rows_of(array, slice(0, len(rows))).tolist() == values[: len(rows)].tolist()
    assert not is_mapped(rows_of(array, wanted))


@pytest.mark.parametrize("block_bytes", [1, 12, 50, 1 << 20])
def test_blocks_are_all_rows_in_order(block_bytes: int, tmp_path: Path) -> None:
    values = np.arange(120, dtype=np.float32).reshape(40, 3)
    fortran = stored(tmp_path, np.ascontiguousarray(values.T)).T
    for array in (values, np.array(fortran), fortran):
        blocks = [(first, block.copy()) for first, block in row_blocks(array, block_bytes)]
        assert np.concatenate([block for _, block in blocks]).tolist() == values.tolist()
        assert [first for first, _ in blocks] == np.cumsum([0, *(len(b) for _, b in blocks)])[:-1].tolist()
        assert all(len(block) <= max(1, block_bytes // 12) for _, block in blocks)


def test_a_mapped_array_is_like_any_other_but_read_only(tmp_path: Path) -> None:
    values = np.arange(120, dtype=np.float16).reshape(40, 3)
    array = stored(tmp_path, values)
    assert not array.flags.writeable
    assert is_mapped(array) and is_mapped(array.T[1:]) and not is_mapped(values)
    release(array)
    release(values)
    assert array.tolist() == values.tolist()
    assert array[[5, 2]].tolist() == values[[5, 2]].tolist()
    assert rows_of(array, slice(38, 60)).shape == (2, 3)
    assert rows_of(array, slice(9, 3)).shape == (0, 3)


@pytest.mark.parametrize("rows", [[-1, 3], [40]])
def test_an_index_out_of_range_is_an_error(rows: list[int], tmp_path: Path) -> None:
    array = stored(tmp_path, np.arange(120, dtype=np.float32).reshape(40, 3))
    with pytest.raises(IndexError, match="of 40"):
        rows_of(array, np.array(rows))


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"12345678")
    with pytest.raises(ValueError, match="buffer"):
        map_array(tmp_path / "short", np.dtype(np.float32), 3, 0)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        map_array(tmp_path / "empty", np.dtype(np.float32), 1, 0)
    array = stored(tmp_path, np.zeros((4, 2)))
    os.truncate(tmp_path / "values", OFFSET + 40)
    with pytest.raises(BadSubmission, match=r"values +changed while it was read"):
        rows_of(array, np.array([0, 3]))


def test_a_truncated_file_in_column_order_is_an_error_and_no_crash(tmp_path: Path) -> None:
    array = map_array(stored_file(tmp_path, 1 << 14), np.dtype(np.uint8), 1 << 14, 0).reshape((2, -1), order="F")
    assert rows_of(array, np.array([1])).shape == (1, 1 << 13)
    os.truncate(tmp_path / "columns", 1 << 12)
    with pytest.raises(BadSubmission, match="changed while it was read"):
        rows_of(array, np.array([1]))
    with pytest.raises(BadSubmission, match="changed while it was read"):
        next(row_blocks(array))


@pytest.mark.parametrize("order", ["columns", "every second value", "backwards"])
@pytest.mark.parametrize("rows", [slice(0, 90), np.arange(90)], ids=["slice", "rows"])
def test_a_file_truncated_between_the_check_of_its_size_and_its_reading_is_an_error(
    order: str, rows: slice | np.ndarray, tmp_path: Path
) -> None:
    """Touching the map would end this process."""
    flat = map_array(stored_file(tmp_path, 1 << 16), np.dtype(np.uint8), 1 << 16, 0)
    views = {"columns": flat.reshape((128, -1), order="F"), "every second value": flat[::2], "backwards": flat[::-1]}
    view = views[order]
    os.truncate(tmp_path / "columns", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fstat", lambda descriptor: os.stat_result((0, 0, 0, 0, 0, 0, 1 << 16, 0, 0, 0)))
        with pytest.raises(BadSubmission, match="changed while it was read"):
            rows_of(view, rows)
        with pytest.raises(BadSubmission, match="changed while it was read"):
            next(row_blocks(view))


TURNS: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda array: array.T,
    lambda array: array[0].T,
    lambda array: array[:, ::-1].T[::-1, 1:],
    lambda array: array[1, 0],
    lambda array: array[2, :, ::-1].T,
    lambda array: array.reshape(40, 12)[:, 1::3],
]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.integers(0, 39), max_size=60),
    span=st.sampled_from([1, 8, 64, 1 << 14]),
    most=st.sampled_from([1, 16, 100, 1 << 20]),
)
def test_a_view_in_any_order_has_the_values_of_its_file(rows: list[int], span: int, most: int, tmp_path: Path) -> None:
    values = np.arange(480, dtype=np.uint16).reshape(4, 3, 40)
    mapped, wanted = stored(tmp_path, values), np.array(rows, dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strided, "SPAN_BYTES", span)
        patch.setattr(strided, "MOST_BYTES", most)
        for turn in TURNS:
            assert rows_of(turn(mapped), wanted).tolist() == turn(values)[wanted].tolist()
            assert rows_of(turn(mapped), slice(3, 17)).tolist() == turn(values)[3:17].tolist()
            blocks = [block.copy() for _, block in row_blocks(turn(mapped), 50)]
            assert np.concatenate(blocks).tolist() == turn(values).tolist()


def stored_file(folder: Path, n_bytes: int) -> Path:
    (folder / "columns").write_bytes(bytes(n_bytes))
    return folder / "columns"


def test_no_file_stays_open(tmp_path: Path) -> None:
    listing = Path("/proc/self/fd")
    if not listing.is_dir():
        pytest.skip("no list of open files")
    before = len(list(listing.iterdir()))
    for _ in range(20):
        stored(tmp_path, np.zeros((4, 2)))
    assert len(list(listing.iterdir())) == before


WALK = """\
import re, sys
import numpy as np
from pathlib import Path
from piq_bench.read.mapped import map_array, row_blocks, rows_of

def most():
    return int(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])

path, n, width = Path(sys.argv[1]), int(sys.argv[2]), 512
array = map_array(path, np.dtype(np.uint8), n * width, 0).reshape(n, width)
before = most()
total = sum(int(block[:, 0].sum()) for _, block in row_blocks(array, 1 << 20))
for first in range(0, n, 4096):
    total += int(rows_of(array, np.arange(first, n, n // 512))[:, 0].sum())
    total += int(rows_of(array, slice(first, first + 4096))[:, 0].sum())
print(most() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measured by /proc")
def test_walking_through_a_file_keeps_little_of_it_in_memory(tmp_path: Path) -> None:
    n_rows = 200_000  # of 512 bytes: 98 MiB
    with (tmp_path / "values").open("wb") as stream:
        for _ in range(100):
            stream.write(bytes(n_rows // 100 * 512))
    run = subprocess.run(
        [sys.executable, "-c", WALK, tmp_path / "values", str(n_rows)], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 8 << 10  # KiB
