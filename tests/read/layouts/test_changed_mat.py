"""A .mat file of a public attribute data set that is not as released is refused with what is wrong in it."""

from pathlib import Path
from typing import Any

import mat_builders as mat
import numpy as np
import pytest
from scipy.io import savemat

from piq_bench.errors import BadDataset
from piq_bench.read.layouts import pa100k, peta, rap
from piq_bench.read.layouts.by_identity import _part
from piq_bench.read.layouts.labelled_rows import split_of
from piq_bench.read.layouts.matlab import MatFile

PART = {"train_index": mat.row([1]), "test_index": mat.row([2])}
FILE = MatFile(Path("a.mat"), {})


def changed(path: Path, variable: str, **values: Any) -> None:  # noqa: ANN401
    """Writes a structure with these fields."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {variable: values})


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([], "splits is empty"),
        ([{}], "splits has 0 fields -> expected train, test"),
        ([{"train_index": np.array([1])}], "splits has 1 fields -> expected train, test"),
        ([{"train_index": np.array([1, 2]), "test_index": np.zeros(0, dtype=np.int64)}], "splits has no test images"),
        (np.array([1, 2]), "expected a list of cells"),
        ([7], "expected a structure with fields"),
    ],
)
def test_a_split_that_lacks_a_part_is_refused(parts: object, found: str) -> None:
    with pytest.raises(BadDataset) as refusal:
        split_of(FILE, "splits", parts, 2, ("train", "test"))
    assert found in " ".join(str(refusal.value).split())


def test_peta_with_too_few_fields_is_refused(tmp_path: Path) -> None:
    changed(tmp_path / "PETA.mat", "peta", data=np.zeros((2, 3)), attribute=mat.cells(["a"]))
    with pytest.raises(BadDataset, match="has 2 fields"):
        peta.read(tmp_path, None)


def test_rap_with_too_few_fields_is_refused(tmp_path: Path) -> None:
    changed(tmp_path / "RAP_annotation.mat", "RAP_annotation", partition=mat.cells([PART]), label=np.zeros((2, 3)))
    with pytest.raises(BadDataset, match="has 2 fields"):
        rap.read(tmp_path, None)


def test_rap_without_physique_has_no_portrait_attributes(tmp_path: Path) -> None:
    mat.write_rap2(tmp_path, np.zeros((5, 6)), [1, 2], attribute=mat.cells(["Female", "BodyFat", *"abcd"]))
    rap.read(tmp_path, None)
    with pytest.raises(BadDataset, match="lack 'BodyThin', 'BodyNormal'"):
        rap.read(tmp_path, "portrait")


def test_pa100k_without_gender_has_no_portrait_attributes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat, "PA100K_NAMES", ("Male", "Hat"))
    mat.write_pa100k(tmp_path, dict.fromkeys(("train", "val", "test"), np.zeros((2, 2))))
    pa100k.read(tmp_path, None)
    with pytest.raises(BadDataset, match="lack 'Female'"):
        pa100k.read(tmp_path, "portrait")


def test_an_attribute_of_two_columns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat, "PA100K_NAMES", ("Hat", "Bag", "Hat"))
    mat.write_pa100k(tmp_path, dict.fromkeys(("train", "val", "test"), np.zeros((2, 3))))
    with pytest.raises(BadDataset, match="'Hat' occurs twice"):
        pa100k.read(tmp_path, None)


def test_a_person_with_two_rows_is_refused() -> None:
    fields = mat.people(mat.MARKET, ["0001", "0002", "0001"])
    fields = {name: value.ravel() for name, value in fields.items()}
    with pytest.raises(BadDataset, match="'0001' occurs twice"):
        _part(FILE, "train", fields, mat.MARKET)
