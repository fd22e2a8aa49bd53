import os
from pathlib import Path

import pytest

from piq_bench.images.folder import ImageFolder, Unreadable


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    (tmp_path / "images" / "sub" / "a.png").write_bytes(b"inside")
    (tmp_path / "secret.png").write_bytes(b"outside")
    return ImageFolder(tmp_path / "images")


@pytest.mark.parametrize(
    "image",
    ["", ".", "/etc/passwd", "../secret.png", "sub/../sub/a.png", "./sub/a.png", "sub//a.png", "sub/a.png/", "a\0.png"],
)
def test_only_plain_relative_paths_are_opened(folder: ImageFolder, image: str) -> None:
    with pytest.raises(Unreadable) as caught:
        folder.read(image)
    assert caught.value.code == "bad-path"


def test_files_and_links_inside_are_read(folder: ImageFolder) -> None:
    root = Path(folder.root)
    (root / "link.png").symlink_to("sub/a.png")
    (root / "linked").symlink_to("sub")
    assert [folder.read(image).data for image in ("sub/a.png", "link.png", "linked/a.png")] == [b"inside"] * 3


@pytest.mark.parametrize("before", [b"", b"ins", b"inside, and more"])
def test_a_file_that_changes_while_it_is_opened_is_read_to_its_end(
    folder: ImageFolder, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(folder.root, "sub", "a.png")
    file.write_bytes(before)
    stale = file.stat()
    monkeypatch.setattr(folder, "stat", lambda image: stale)
    file.write_bytes(b"inside")
    assert folder.read("sub/a.png").data == b"inside"


def test_links_that_leave_the_folder_are_refused(folder: ImageFolder) -> None:
    root = Path(folder.root)
    (root / "link.png").symlink_to("../secret.png")
    (root / "up").symlink_to("..")
    (root / "twin").symlink_to(root.parent / "images-twin")
    (root.parent / "images-twin").mkdir()
    (root.parent / "images-twin" / "a.png").write_bytes(b"outside")
    for image in ("link.png", "up/secret.png", "twin/a.png"):
        with pytest.raises(Unreadable) as caught:
            folder.read(image)
        assert caught.value.code == "outside"


def test_links_that_leave_the_folder_are_followed_on_request(folder: ImageFolder) -> None:
    root = Path(folder.root)
    (root / "link.png").symlink_to("../secret.png")
    (root / "up").symlink_to("..")
    (root / "etc").symlink_to("/etc")
    following = ImageFolder(root, follow_links=True)
    assert [following.read(image).data for image in ("sub/a.png", "link.png", "up/secret.png")] == [
        b"inside",
        b"outside",
        b"outside",
    ]
    for image, code in {"../secret.png": "bad-path", "etc": "not-a-file", "up/none.png": "missing-file"}.items():
        with pytest.raises(Unreadable) as caught:
            following.read(image)
        assert caught.value.code == code, image


@pytest.mark.parametrize("follow_links", [False, True])
def test_links_to_nowhere_are_told_from_missing_files(folder: ImageFolder, follow_links: bool) -> None:
    root = Path(folder.root)
    (root / "annexed.png").symlink_to("../.git/annex/objects/not/fetched")
    (root / "cached").symlink_to("/no/such/folder")
    (root / "twice.png").symlink_to("annexed.png")
    for image in ("annexed.png", "cached/a.png", "cached/deep/a.png", "twice.png"):
        with pytest.raises(Unreadable) as caught:
            ImageFolder(root, follow_links=follow_links).read(image)
        assert (caught.value.code, caught.value.found) == ("broken-link", "is a link to a file that does not exist")


def test_what_is_no_regular_file_is_refused(folder: ImageFolder) -> None:
    root = Path(folder.root)
    os.mkfifo(root / "pipe.png")
    (root / "empty.png").touch()
    (root / "dangling.png").symlink_to("nowhere.png")
    expected = {
        "pipe.png": "not-a-file",
        "sub": "not-a-file",
        "empty.png": "empty-file",
        "none.png": "missing-file",
        "sub/a.png/b.png": "missing-file",
        "dangling.png": "broken-link",
        "x" * 300: "unreadable-file",
    }
    for image, code in expected.items():
        with pytest.raises(Unreadable) as caught:
            folder.read(image)
        assert caught.value.code == code, image
