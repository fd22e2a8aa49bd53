"""Folders that are none, links, and files that are too large are refused before they are read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from piq_bench.board.entries import entries_in, read_entry
from piq_bench.board.html import _added
from piq_bench.board.reference import read_reference
from piq_bench.board.result import MAX_BYTES, read_result, valid_published_digest
from piq_bench.errors import BadSubmission, BadUsage


@pytest.mark.parametrize(("read", "word"), [(read_entry, "an entry"), (entries_in, "all entries")])
def test_a_file_is_no_folder_of_entries(tmp_path: Path, read: Callable[[Path], object], word: str) -> None:
    path = tmp_path / "entries"
    path.write_text("", encoding="utf-8")
    with pytest.raises(BadUsage) as refusal:
        read(path)
    (problem,) = refusal.value.problems
    assert problem.found == "is not a folder" and word in problem.remedy


def test_results_are_regular_files_of_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert read_result(path) is None and valid_published_digest(path) is None
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(ValueError, match=str(MAX_BYTES)):
        read_result(path)
    path.rename(tmp_path / "other.json")
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    path.symlink_to(tmp_path / "other.json")
    with pytest.raises(ValueError, match="regular file"):
        read_result(path)
    assert valid_published_digest(path) is None


def test_references_are_regular_files(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("", encoding="utf-8")
    path = tmp_path / "submission.ref.toml"
    path.symlink_to(tmp_path / "other.toml")
    with pytest.raises(BadSubmission, match="is a link or too large"):
        read_reference(path)


@pytest.mark.parametrize("page", ["none", "<body>\ntwice<body>\n"])
def test_markup_is_added_to_pages_at_one_place_or_not_at_all(page: str) -> None:
    assert _added("a<body>\nb", "<body>\n", before="1", after="2") == "a1<body>\n2b"
    with pytest.raises(ValueError, match="needs one"):
        _added(page, "<body>\n", after="x")
