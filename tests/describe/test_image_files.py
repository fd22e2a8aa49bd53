"""Image files: missing, empty and equal ones are found by their bytes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from folders import ROWS, TOML, changed, write_csv, write_folder, write_market

from piq_bench.describe import image_files as module
from piq_bench.describe.image_files import check_files
from piq_bench.images.folder import images_folder
from piq_bench.read.dataset import inspect_dataset


def with_files(folder: Path, contents: dict[str, bytes]) -> Path:
    for image, content in contents.items():
        path = folder / "images" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def distinct() -> dict[str, bytes]:
    return {row[0]: f"picture {n}".encode() for n, row in enumerate(ROWS)}


def found(folder: Path) -> dict[str, tuple[str, str]]:
    steps: list[int] = []
    benchmark = inspect_dataset(folder).benchmark
    findings = check_files(benchmark, advance=steps.append)
    if images_folder(benchmark) is not None:
        assert sum(steps) == benchmark.images.size
    assert len({finding.code for finding in findings}) == len(findings)
    return {finding.code: (finding.severity, finding.text) for finding in findings}


def test_different_files_are_no_finding(tmp_path: Path) -> None:
    assert found(with_files(write_folder(tmp_path), distinct())) == {}


def test_without_a_folder_of_images_nothing_is_checked(tmp_path: Path) -> None:
    assert list(found(write_folder(tmp_path))) == ["no-image-files"]


def test_missing_and_empty_files_are_counted(tmp_path: Path) -> None:
    contents = distinct() | {"a/01.jpg": b"", "a/02.jpg": b""}
    del contents["b/04.jpg"]
    folder = with_files(write_folder(tmp_path), contents)
    (folder / "images" / "b" / "04.jpg").mkdir()  # no file either
    assert found(folder) == {
        "missing-image-file": ("warning", "1 of 7 images have no file: 'b/04.jpg'"),
        "empty-image-file": ("warning", "2 of 7 images are empty files: 'a/01.jpg', 'a/02.jpg'"),
    }


def test_links_out_of_the_folder_are_named_and_followed_on_request(tmp_path: Path) -> None:
    contents = distinct()
    cached = {image: contents.pop(image) for image in ("a/01.jpg", "a/02.jpg")}
    folder = with_files(write_folder(tmp_path / "data"), contents)
    for number, (image, content) in enumerate(cached.items()):
        (tmp_path / f"{number}").write_bytes(content)
        (folder / "images" / image).symlink_to(tmp_path / f"{number}")
    (folder / "images" / "a" / "03.jpg").unlink()
    (folder / "images" / "a" / "03.jpg").symlink_to(tmp_path / "not-fetched")
    broken = (
        "1 of 7 images are links to files that do not exist: 'a/03.jpg';"
        " fetch the files, for example by `git annex get` or `dvc pull`, or mend the links"
    )
    assert found(folder) == {
        "image-link-outside": (
            "warning",
            "2 of 7 images are links that leave the image folder: 'a/01.jpg', 'a/02.jpg';"
            " if you trust this data set, use --follow-links",
        ),
        "broken-image-link": ("warning", broken),
    }
    benchmark = replace(inspect_dataset(folder).benchmark, follow_links=True)
    assert [finding.text for finding in check_files(benchmark)] == [broken]


@pytest.mark.parametrize(
    ("equal", "code", "severity"),
    [
        (("a/01.jpg", "b/02.jpg"), "same-file-in-train-and-test", "warning"),
        (("b/01.jpg", "b/02.jpg"), "same-file-in-query-and-gallery", "warning"),  # a note where groups deal with them
        (("a/01.jpg", "a/02.jpg"), "same-file-in-one-split", "note"),
    ],
)
def test_equal_files_are_named_by_where_they_are(
    tmp_path: Path, equal: tuple[str, str], code: str, severity: str
) -> None:
    folder = with_files(write_folder(tmp_path), distinct() | dict.fromkeys(equal, b"same bytes"))
    findings = found(folder)
    assert findings.pop(code)[0] == severity
    assert findings.keys() <= {"same-file-two-identities"}
    assert f"'{equal[0]} = {equal[1]}'" in found(folder)[code][1]


def test_equal_files_of_several_people_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, changed(4, identity="p2"))
    findings = found(with_files(folder, distinct() | dict.fromkeys(("b/02.jpg", "b/03.jpg"), b"same bytes")))
    assert findings["same-file-two-identities"][0] == "warning"
    assert "same-file-in-one-split" in findings


def test_files_of_equal_size_are_told_apart_by_content(tmp_path: Path) -> None:
    contents = {row[0]: bytes([n]) * 100 for n, row in enumerate(ROWS)}
    assert found(with_files(write_folder(tmp_path), contents)) == {}


def test_batches_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = with_files(write_folder(tmp_path), dict.fromkeys(distinct(), b"all the same"))
    whole = found(folder)
    monkeypatch.setattr(module, "BATCH_FILES", 2)
    assert found(folder) == whole


def test_a_market1501_folder_of_empty_files_is_one_finding(tmp_path: Path) -> None:
    names = {"bounding_box_train": ["0001_c1s1_0.jpg", "0001_c1s1_1.jpg"], "query": [], "bounding_box_test": []}
    assert found(write_market(tmp_path, names)).keys() == {"empty-image-file"}


def test_images_beside_a_bare_table_are_looked_at(tmp_path: Path) -> None:
    write_csv(tmp_path / "labels.csv", [("1.jpg", "x"), ("2.jpg", "y")], ("image", "label"))
    assert found(with_files(tmp_path, {"1.jpg": b"1"}) / "labels.csv").keys() == {"missing-image-file"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read_are_counted(tmp_path: Path) -> None:
    folder = with_files(write_folder(tmp_path, toml=TOML), distinct())
    (folder / "images" / "a" / "01.jpg").chmod(0)
    assert "unreadable-image-file" in found(folder)
