"""What a .mat file of a public data set lacks or has too much of is named before anything is read from it."""

from pathlib import Path
from typing import Any

import mat_builders as mat
import numpy as np
import pytest

from piq_bench.errors import BadDataset, LimitExceeded
from piq_bench.read.layouts import by_identity, matlab, pa100k, peta, rap
from piq_bench.read.layouts.labelled_rows import BinaryAttributes, split_of
from piq_bench.read.layouts.matlab import MatFile, load_mat
from piq_bench.records import GALLERY, TRAIN

HERE = MatFile(Path("a.mat"), {})


def only(refusal: pytest.ExceptionInfo[BadDataset]) -> str:
    (problem,) = refusal.value.problems
    return f"{problem.where}: {problem.found}"


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([], "a.mat: splits: is empty"),
        ({"a": [1], "b": [2]}, "a.mat: splits: has 2 fields"),
        ({"train": [1], "val": [4], "test": [2]}, "a.mat: splits: val: names row 4"),
        ({"train": [1], "val": [0], "test": [2]}, "a.mat: splits: val: names row 0"),
        ({"train": [1], "val": [1], "test": [2]}, "a.mat: splits: val: names a row that is in a part already"),
        ({"train": [1], "val": [2, 2], "test": [3]}, "a.mat: splits: val: names a row that is in a part already"),
        ({"train": [1], "val": [2], "test": []}, "a.mat: splits: has no test images"),
    ],
)
def test_splits_that_are_not_whole_are_refused(parts: dict[str, list[int]] | list[object], found: str) -> None:
    given: Any = (
        parts if isinstance(parts, list) else {key: np.array(rows, dtype=np.int64) for key, rows in parts.items()}
    )
    with pytest.raises(BadDataset) as refusal:
        split_of(HERE, "splits", given, 3, ("train", "val", "test"))
    assert only(refusal) == found


def test_parts_go_by_their_names_and_else_by_their_place() -> None:
    named = {"test_rows": np.array([1]), "my_train": np.array([3]), "val": np.array([2])}
    placed = {"a": np.array([3]), "b": np.array([2]), "c": np.array([1])}
    for parts in (named, placed):
        assert split_of(HERE, "splits", parts, 4, ("train", "val", "test")).tolist() == [GALLERY, TRAIN, TRAIN, -1]


def test_a_number_is_neither_a_structure_nor_a_list() -> None:
    for read in (HERE.fields, HERE.items):
        with pytest.raises(BadDataset, match="expected"):
            read(np.float64(3), "labels")


def test_a_file_above_its_limits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mat.save(tmp_path / "a.mat", {"x": mat.cells(["a", "b", "c"])})
    assert load_mat(path, ["x"]).texts(load_mat(path, ["x"]).variables["x"], "x") == ["a", "b", "c"]
    for limit in ("MAX_ARRAYS", "MAX_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(matlab, limit, 2)
            with pytest.raises(LimitExceeded, match="more than 2"):
                load_mat(path, ["x"])


def test_names_of_attributes_occur_once() -> None:
    attributes = BinaryAttributes(
        HERE, ["a.jpg"], np.zeros((1, 2), dtype=np.int64), ["Hat", "Hat"], np.array([GALLERY])
    )
    with pytest.raises(BadDataset, match="occurs twice"):
        attributes.labelled("x", {}, images_folder=".", official={})


def test_releases_with_too_few_fields_or_other_attributes_are_refused(tmp_path: Path) -> None:
    mat.save(tmp_path / "PETA.mat", {"peta": {"data": np.zeros((2, 6)), "names": mat.cells(["a", "b"])}})
    with pytest.raises(BadDataset) as refusal:
        peta.read(tmp_path, None)
    assert only(refusal) == "PETA.mat: peta: has 2 fields"
    mat.save(tmp_path / "RAP_annotation.mat", {rap.VARIABLE: {"a": 1, "b": 2}})
    with pytest.raises(BadDataset) as refusal:
        rap.read(tmp_path, None)
    assert only(refusal) == f"RAP_annotation.mat: {rap.VARIABLE}: has 2 fields"
    names = {f"{part}_images_name": mat.cells([f"{part}1.jpg", f"{part}2.jpg"]) for part in pa100k.PARTS}
    labels = {f"{part}_label": np.eye(2) for part in pa100k.PARTS}
    mat.save(tmp_path / "annotation.mat", {**names, **labels, "attributes": mat.cells(["Hat", "Bag"])})
    with pytest.raises(BadDataset) as refusal:
        pa100k.read(tmp_path, "portrait")
    assert only(refusal) == "annotation.mat: attributes: lack 'Female'"
    assert pa100k.read(tmp_path, None).rows.images.size == 6


def test_an_attribute_file_beside_no_layout_says_what_a_layout_needs(tmp_path: Path) -> None:
    for name in by_identity.FOLDERS:
        (tmp_path / name).mkdir()
    assert by_identity.find_file(tmp_path, "gone.mat") is None
    assert by_identity.find_file(tmp_path / "none", "gone.mat") is None
