"""What file managers and other tools leave in folders and archives is passed over by every reader of submissions."""

import shutil
import zipfile
from pathlib import Path

import pytest
from submission_builders import arrays, as_folder, check, npy, save

from piq_bench.read.litter import is_litter

LITTER = (
    ".DS_Store",
    "._embedding.npy",
    "Thumbs.db",
    "thumbs.db",
    "desktop.ini",
    "Desktop.ini",
    ".directory",
    "__MACOSX",
)


@pytest.mark.parametrize("name", LITTER)
def test_litter_is_recognised(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize("name", ["image.npy", "meta.json", "entry", "a.DS_Store", "..", ".", "", "MACOSX", "thumbs"])
def test_other_names_are_no_litter(name: str) -> None:
    assert not is_litter(name)


def described(output: str) -> list[str]:
    """The lines about the content, without those about the file."""
    return [line for line in output.splitlines() if not line.startswith("file ")]


def test_litter_in_a_folder_changes_nothing_but_is_told(dataset: Path, tmp_path: Path) -> None:
    path = as_folder(lambda folder: None)(tmp_path)
    clean = check(path, dataset)
    for name in LITTER[:-1]:
        (path / name).write_bytes(b"x")
    shutil.copytree(path, path / ".ipynb_checkpoints")
    (path / "__MACOSX").mkdir()
    (path / ".link").symlink_to("/etc/hostname")
    result = check(path, dataset)
    assert result.exit_code == 0, result.output
    assert result.stdout == clean.stdout  # also size and digest of the files
    assert result.stderr.startswith("note: ignored '.DS_Store', '._embedding.npy', '.directory' and 7 more")


def test_litter_in_an_archive_changes_nothing_but_is_told(dataset: Path, tmp_path: Path) -> None:
    save(tmp_path / "clean.npz", arrays())
    with zipfile.ZipFile(tmp_path / "entry.npz", "w") as archive:
        for name, values in arrays().items():
            archive.writestr(f"{name}.npy", npy(values))
            archive.writestr(f"__MACOSX/._{name}.npy", b"x")
        for i in range(100):  # more than the limit on other members
            archive.writestr(f".ipynb_checkpoints/{i}.npy", b"x")
    result = check(tmp_path / "entry.npz", dataset)
    assert result.exit_code == 0, result.output
    assert described(result.stdout) == described(check(tmp_path / "clean.npz", dataset).stdout)
    assert "note: ignored '__MACOSX/._image.npy', " in result.stderr


def test_a_path_out_of_the_archive_is_no_litter(dataset: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "entry.npz", "w") as archive:
        for name, values in arrays().items():
            archive.writestr(f"{name}.npy", npy(values))
        archive.writestr("../age.npy", b"x")
    result = check(tmp_path / "entry.npz", dataset)
    assert result.exit_code == 3
    assert "[bad-member]" in result.stderr
