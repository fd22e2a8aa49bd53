"""A division changes one table of annotations, itself and not what a link leads to."""

from pathlib import Path

import pytest

from piq_bench.build.split.dataset import _annotations
from piq_bench.errors import BadInput


def code_of(folder: Path) -> str:
    with pytest.raises(BadInput) as refusal:
        _annotations(folder)
    (problem,) = refusal.value.problems
    return problem.code


def test_there_is_one_table_and_it_is_no_link(tmp_path: Path) -> None:
    missing = code_of(tmp_path)
    csv, parquet = tmp_path / "annotations.csv", tmp_path / "annotations.parquet"
    csv.write_text("image\n", encoding="utf-8")
    assert _annotations(tmp_path) == csv
    parquet.write_bytes(b"")
    assert code_of(tmp_path) == "ambiguous-file"
    parquet.unlink()
    csv.rename(tmp_path / "elsewhere.csv")
    csv.symlink_to(tmp_path / "elsewhere.csv")
    assert code_of(tmp_path) == "link" and missing not in ("link", "ambiguous-file")
