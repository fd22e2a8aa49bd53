"""The one submission in an upload is found however it was packed, and nothing else is unpacked."""

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import submission_builders
from export_builders import zip_of

from piq_bench.errors import BadSubmission
from piq_bench.read import upload as uploads
from piq_bench.read.upload import find_submission


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    return submission_builders.save(tmp_path / "made.npz", submission_builders.arrays())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def given(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


Pack = Callable[[Path, Path], Path]


def as_file(npz: Path, given: Path) -> Path:
    return npz.rename(given / "mine.npz")


def named_zip(npz: Path, given: Path) -> Path:
    return npz.rename(given / "mine.zip")


def folder(npz: Path, given: Path) -> Path:
    npz.rename(given / "Mine.NPZ")
    (given / "metadata").write_text("exitCode: 0\n", encoding="utf-8")  # Codabench's own
    return given


def nested_folder(npz: Path, given: Path) -> Path:
    (given / "run" / "best").mkdir(parents=True)
    npz.rename(given / "run" / "best" / "mine.npz")
    return given


def zipped(npz: Path, given: Path) -> Path:
    return zip_of(given / "mine.zip", {"mine.npz": npz, "readme.txt": b"hello"})


def nested_zip(npz: Path, given: Path) -> Path:
    return zip_of(
        given / "mine.zip",
        {"run/mine.npz": npz, "__MACOSX/run/._mine.npz": b"x", "run/.DS_Store": b"x", "run/Thumbs.db": b"x"},
    )


def zip_in_folder(npz: Path, given: Path) -> Path:
    (given / "run").mkdir()
    zip_of(given / "run" / "mine.zip", {"mine.npz": npz})
    return given


@pytest.mark.parametrize(
    ("pack", "is_nested"),
    [
        (as_file, False),
        (named_zip, False),
        (folder, False),
        (nested_folder, True),
        (zipped, False),
        (nested_zip, True),
        (zip_in_folder, True),
    ],
)
def test_one_submission_is_found_however_it_was_packed(
    pack: Pack, is_nested: bool, npz: Path, given: Path, place: Path
) -> None:
    content = npz.read_bytes()
    found = find_submission(pack(npz, given), place)
    assert found.path.read_bytes() == content
    assert bool(found.notes) == is_nested
    assert all("pack the file itself, not its folder" in note for note in found.notes)


def test_a_file_that_is_not_a_zip_is_left_to_the_reader(given: Path, place: Path) -> None:
    (given / "a.npz").write_bytes(b"hello")
    assert find_submission(given / "a.npz", place).path == given / "a.npz"


def refusal(path: Path, place: Path) -> str:
    with pytest.raises(BadSubmission) as refused:
        find_submission(path, place)
    assert not list(place.rglob("*"))
    return str(refused.value)


@pytest.mark.parametrize("pack", ["zip", "folder"])
@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), "there is no .npz"),
        (("a.npz", "b/c.npz"), "2 submissions: 'a.npz', 'b/c.npz'"),
        (("run/image.npy", "run/age.npy"), "do not unpack the .npz"),
    ],
)
def test_no_submission_or_two_are_refused(
    pack: str, names: tuple[str, ...], text: str, npz: Path, given: Path, place: Path
) -> None:
    members: dict[str, bytes | Path] = {"readme.txt": b"hello", **dict.fromkeys(names, npz)}
    if pack == "zip":
        path = zip_of(given / "mine.zip", members)
    else:
        path = given
        for name in names:
            (given / name).parent.mkdir(exist_ok=True)
            (given / name).write_bytes(npz.read_bytes())
    assert text in refusal(path, place)


@pytest.mark.parametrize("name", ["../../mine.npz", "/etc/mine.npz", "C:/mine.npz", "a\\..\\mine.npz", "a//mine.npz"])
def test_names_that_leave_the_zip_are_refused(name: str, npz: Path, given: Path, place: Path) -> None:
    assert "[bad-path]" in refusal(zip_of(given / "mine.zip", {name: npz}), place)


def test_a_member_without_a_name_is_refused(given: Path, place: Path) -> None:
    with zipfile.ZipFile(given / "upload.zip", "w") as archive:
        nameless = zipfile.ZipInfo("a")
        nameless.filename = ""
        with archive.open(nameless, "w") as member:
            member.write(b"x")
    with pytest.raises(BadSubmission, match="use plain relative names"):
        find_submission(given, place)


def test_links_are_not_followed(npz: Path, given: Path, place: Path, tmp_path: Path) -> None:
    (given / "mine.npz").symlink_to(npz)
    (given / "more").symlink_to(tmp_path)
    text = refusal(given, place)
    assert text.count("is a link") == 2 and "there is no .npz" in text
    assert "a link or device" in refusal(given / "mine.npz", place)
    assert "no such file" in refusal(given / "nothing.npz", place)
    os.mkfifo(given / "pipe")
    assert "a link or device" in refusal(given / "pipe", place)


def test_links_in_zips_are_refused(given: Path, place: Path) -> None:
    with zipfile.ZipFile(given / "mine.zip", "w") as archive:
        member = zipfile.ZipInfo("mine.npz")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    assert "is a link" in refusal(given / "mine.zip", place)


def test_zip_bombs_are_refused_before_they_are_unpacked(given: Path, place: Path) -> None:
    path = zip_of(given / "mine.zip", {"mine.npz": bytes(100 << 20)})
    assert path.stat().st_size < 1 << 20
    assert "[zip-bomb]" in refusal(path, place)


def test_submissions_that_are_too_large_are_refused(
    npz: Path, given: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UNPACKED_BYTES", 100)
    assert "the limit is 100" in refusal(zipped(npz, given), place)


def test_encryption_and_unknown_compression_are_refused(npz: Path, given: Path, place: Path) -> None:
    path = zipped(npz, given)
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refusal(path, place)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("mine.npz", npz.read_bytes())
    assert "compression method 12" in refusal(path, place)


def test_damaged_zips_are_refused(npz: Path, given: Path, place: Path) -> None:
    path = zipped(npz, given)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-30])
    assert "[not-an-archive]" in refusal(path, place)
    content[200] ^= 255
    path.write_bytes(content)
    with pytest.raises(BadSubmission, match="not-an-archive"):
        find_submission(path, place)


def test_too_many_files_and_too_deep_folders_are_refused(
    npz: Path, given: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_ENTRIES", 4)
    path = zip_of(given / "mine.zip", {f"{i}.txt": b"" for i in range(5)})
    assert "more than 4 files" in refusal(path, place)
    for i in range(5):
        (given / f"{i}.txt").touch()
    assert "more than 4 files" in refusal(given, place)
    monkeypatch.setattr(uploads, "MAX_ENTRIES", 1000)
    deep = given.joinpath(*"abcdefgh")
    deep.mkdir(parents=True)
    npz.rename(deep / "mine.npz")
    assert "more than 6 folders deep" in refusal(given, place)


def test_names_from_an_upload_are_harmless_in_messages(npz: Path, given: Path, place: Path) -> None:
    text = refusal(zip_of(given / "mine.zip", {"\x1b[2Ja.npz": npz, "\u202eb.npz": npz}), place)
    assert "\x1b" not in text and "\u202e" not in text
