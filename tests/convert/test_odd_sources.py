"""Features and names that are complete files, and yet cannot be used, are refused with what is wrong."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from piq_bench.convert import frames, names, torch_file
from piq_bench.convert.source import read_features
from piq_bench.errors import BadSubmission


def refused(path: Path, names_file: Path | None = None) -> str:
    with pytest.raises(BadSubmission) as refusal:
        read_features(path, names_file)
    return " ".join(str(refusal.value).split())


@pytest.mark.parametrize("values", [np.ones(3), np.array([["a", "b"]])])
def test_an_array_that_is_no_table_of_numbers_is_refused(values: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", values)
    assert "expected numbers of shape (n_rows, D)" in refused(tmp_path / "a.npy")


def test_a_parquet_file_with_text_for_features_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.jpg", "b.jpg"], "0": ["x", "y"]}).to_parquet(tmp_path / "a.parquet")
    assert "a.parquet: refused" in refused(tmp_path / "a.parquet")


def test_a_csv_file_with_an_empty_value_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,0,1\na.jpg,1,2\nb.jpg,,4\n", encoding="utf-8")
    assert "0 1 values are empty -> every row needs a value" in refused(tmp_path / "a.csv")


def test_files_above_their_limits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("path,0,1\na.jpg,1,2\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("a.jpg\nb.jpg\n", encoding="utf-8")
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    monkeypatch.setattr(frames, "MAX_FILE_BYTES", 10)
    monkeypatch.setattr(names, "MAX_BYTES", 10)
    assert "has more than 10 bytes -> save it as Parquet or .npz" in refused(tmp_path / "a.csv")
    assert "has more than 10 bytes -> expected a list of names" in refused(tmp_path / "a.npy", tmp_path / "a.txt")


def test_a_list_of_names_that_is_a_packed_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    with zipfile.ZipFile(tmp_path / "names.zip", "w") as archive:
        archive.writestr("names.txt", "a.jpg")
    assert "names.zip: refused" in refused(tmp_path / "a.npy", tmp_path / "names.zip")


def test_records_of_torch_that_declare_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"." * 100)
    torch_file._check_records(path)
    monkeypatch.setattr(torch_file, "MAX_PICKLE_BYTES", 99)
    with pytest.raises(BadSubmission, match="its index has more than 99 bytes"):
        torch_file._check_records(path)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02") + 24  # the directory's size of the record, unpacked
    content[place : place + 4] = (1 << 20).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(BadSubmission, match="declares more bytes than it has"):
        torch_file._check_records(path)
