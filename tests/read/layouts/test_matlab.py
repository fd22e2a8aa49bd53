"""MATLAB files are loaded within limits, and hostile ones are refused before scipy sees them."""

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mat_builders import cells, save

from piq_bench.errors import BadDataset, BadInput, LimitExceeded
from piq_bench.read.layouts import matlab as module
from piq_bench.read.layouts.matlab import load_mat

CONTENT = {"s": {"names": cells(["a", "bc"]), "of": cells([{"x": np.arange(3)}] * 2), "values": np.eye(3)}, "other": 1}
HEADER = b"MATLAB 5.0 MAT-file".ljust(124, b" ") + struct.pack("<H", 0x0100) + b"IM"


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def array(kind: int, shape: tuple[int, ...], rest: bytes, *, name: bytes = b"s") -> bytes:
    """An array of a class, with a shape that may be a lie."""
    flags = element(6, struct.pack("<II", kind, 0))
    dims = element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + dims + element(1, name) + rest)


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "x.mat"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_structures_cells_and_numbers_are_loaded(tmp_path: Path, compressed: bool) -> None:
    file = load_mat(save(tmp_path / "x.mat", CONTENT, compressed=compressed), ["s"])
    assert file.variables.keys() == {"s"}
    fields = file.fields(file.variables["s"], "s", ["names", "values"])
    assert file.texts(fields["names"], "names") == ["a", "bc"]
    assert file.numbers(fields["values"], "values", (3, 3)).tolist() == np.eye(3).tolist()
    assert [file.numbers(part["x"], "x").tolist() for part in file.items(fields["of"], "of")] == [[0, 1, 2]] * 2


def test_a_single_cell_and_a_single_number_are_lists_too(tmp_path: Path) -> None:
    variables = {"names": cells(["only"]), "values": np.array([[7]]), "parts": cells([{"x": 1}])}
    file = load_mat(save(tmp_path / "x.mat", variables), list(variables))
    assert file.texts(file.variables["names"], "names") == ["only"]
    assert file.numbers(file.variables["values"], "values").tolist() == [7]
    assert file.numbers(file.variables["values"], "values", (1, 1)).tolist() == [[7]]
    assert len(file.items(file.variables["parts"], "parts")) == 1


def test_a_variable_that_is_missing_is_named_beside_those_there(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"has no variable 'peta'; it has 's', 'other'"):
        load_mat(save(tmp_path / "x.mat", CONTENT), ["peta"])


def test_version_7_3_is_refused_with_the_remedy(tmp_path: Path) -> None:
    header = b"MATLAB 7.3 MAT-file".ljust(124, b" ") + struct.pack("<H", 0x0200) + b"IM"
    for content in (header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(600)):
        with pytest.raises(BadDataset, match=r"version 7\.3, which is HDF5\n.*-v7"):
            load_mat(file_of(tmp_path, content), ["s"])


@pytest.mark.parametrize("content", [b"", b"not a mat file", bytes(2000), HEADER[:100], b"PK\x03\x04" + bytes(300)])
def test_what_is_no_matlab_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadDataset, match="no MATLAB file of version 5 to 7"):
        load_mat(file_of(tmp_path, content), ["s"])


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.mat", {"s": CONTENT["s"]}).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        with pytest.raises(BadDataset):
            load_mat(file_of(tmp_path, whole[:length]), ["s"])


HUGE = 2**31 - 1
LIES: dict[str, Callable[[], bytes]] = {
    "cells": lambda: array(1, (HUGE, HUGE), b""),
    "numbers": lambda: array(6, (HUGE, 1), element(9, bytes(8))),
    "text": lambda: array(4, (1, HUGE), element(16, b"")),
    "negative": lambda: array(6, (-1, 1), element(9, bytes(8))),
    "no shape": lambda: array(6, (), element(9, bytes(8))),
    "structures": lambda: array(2, (HUGE, 1), element(5, struct.pack("<I", 32)) + element(1, b"x".ljust(32, b"\0"))),
    "no fields": lambda: array(2, (HUGE, 1), element(5, struct.pack("<I", 32)) + element(1, b"")),
    "sparse": lambda: array(5, (HUGE, HUGE), b""),
    "object": lambda: array(3, (1, 1), element(1, b"c")),
    "function": lambda: array(16, (1, 1), b""),
    "opaque": lambda: array(17, (1, 1), b""),
    "hidden rest": lambda: array(6, (1, 1), element(9, bytes(8)) + array(1, (HUGE, HUGE), b"")),
    "cell of text": lambda: array(1, (1, 1), element(1, b"text")),
    "text of no type": lambda: array(4, (1, 8), element(141, b"8 bytes!")),
    "numbers of no type": lambda: array(6, (1, 1), element(141, b"8 bytes!")),
    "no numbers of no type": lambda: array(6, (HUGE, 1), element(141, b"")),
    "short text of no type": lambda: array(4, (1, 2), struct.pack("<HH4s", 141, 2, b"bc")),
    "ends early": lambda: struct.pack("<II", 14, HUGE),
    "no variable": lambda: element(9, bytes(8)),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("lie", LIES)
def test_a_shape_that_the_content_does_not_fill_is_refused(tmp_path: Path, lie: str, packed: bool) -> None:
    body = LIES[lie]()
    if packed:
        squeezed = zlib.compress(body)
        body = struct.pack("<II", 15, len(squeezed)) + squeezed
    with pytest.raises(BadDataset):
        load_mat(file_of(tmp_path, HEADER + body), ["s"])


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    body = array(6, (1, 1), element(9, bytes(8)), name=b"")
    for _ in range(3000):
        body = array(1, (1, 1), body, name=b"s")
    with pytest.raises(BadDataset, match="nested more than"):
        load_mat(file_of(tmp_path, HEADER + body), ["s"])


def test_compressed_data_unpack_within_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.mat", {"s": np.zeros((1000, 1000)), "t": np.zeros(10)})
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(module, "MAX_UNPACKED", 1 << 20)
    with pytest.raises(LimitExceeded, match="unpacks to more than"):
        load_mat(path, ["s"])
    assert load_mat(path, ["t"]).variables["t"].size == 10  # the other variable is not unpacked


def test_many_variables_share_one_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"v{i}" for i in range(9)]
    path = save(tmp_path / "x.mat", {name: np.zeros((10_000, 2)) for name in names})
    monkeypatch.setattr(module, "MAX_UNPACKED", 1 << 20)
    assert load_mat(path, names[:6]).variables.keys() == set(names[:6])
    with pytest.raises(LimitExceeded, match="unpacks to more than"):
        load_mat(path, names)


def test_the_file_and_its_cells_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.mat", {"s": cells(["name"] * 200)})
    monkeypatch.setattr(module, "MAX_ARRAYS", 200)
    with pytest.raises(LimitExceeded, match="more than 200 cells"):
        load_mat(path, ["s"])
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(LimitExceeded, match="more than 100 bytes"):
        load_mat(path, ["s"])


@given(place=st.integers(128, 1500), value=st.integers(0, 255), compressed=st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_never_raises_anything_but_a_refusal(
    tmp_path: Path, place: int, value: int, compressed: bool
) -> None:
    content = bytearray(save(tmp_path / "x.mat", CONTENT, compressed=compressed).read_bytes())
    content[place % len(content)] = value
    with suppress(BadInput):
        load_mat(file_of(tmp_path, bytes(content)), ["s"])


@pytest.mark.parametrize(
    ("value", "shape", "message"),
    [
        (np.eye(2), (2, 3), "has the shape 2 x 2"),
        (np.array([0.5]), (1,), "no whole numbers"),
        (np.array([np.nan, 1]), (2,), "no whole numbers"),
        ("text", (1,), "is a text, 'text'"),
        (cells(["a", "b"]), (2,), "is a list of cells"),
        ({"x": 1}, (1,), "is a structure"),
        (np.array([[1j, 2]]), (2,), "expected numbers"),
    ],
)
def test_numbers_of_another_kind_are_refused(
    tmp_path: Path, value: object, shape: tuple[int, ...], message: str
) -> None:
    file = load_mat(save(tmp_path / "x.mat", {"s": value}), ["s"])
    with pytest.raises(BadDataset, match=message):
        file.numbers(file.variables["s"], "s", shape)


@pytest.mark.parametrize("value", [cells(["a", 1]), cells(["a", ""]), cells(["a", "b" * 300]), np.eye(2), {"x": 1}])
def test_texts_of_another_kind_are_refused(tmp_path: Path, value: object) -> None:
    file = load_mat(save(tmp_path / "x.mat", {"s": value}), ["s"])
    with pytest.raises(BadDataset):
        file.texts(file.variables["s"], "s")


def test_a_structure_that_lacks_a_field_is_refused_by_name(tmp_path: Path) -> None:
    file = load_mat(save(tmp_path / "x.mat", {"s": {"train": 1}}), ["s"])
    with pytest.raises(BadDataset, match="has no field 'test'; it has 'train'"):
        file.fields(file.variables["s"], "s", ["train", "test"])


@pytest.mark.parametrize(
    ("content", "remedy"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), (b"<!DOCTYPE html>\n", "gave a web page")],
)
def test_what_a_download_left_is_named(content: bytes, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(BadDataset, match=remedy):
        load_mat(tmp_path / "a.mat", ["a"])
