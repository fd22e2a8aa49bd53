"""Descriptions of data sets agree with the files, and the reference implementation reads them, if installed."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from export_builders import TOML, WITHOUT_REID, dataset
from PIL import Image

from piq_bench.errors import BadDataset, BadUsage
from piq_bench.export.croissant import About, croissant, write_croissant
from piq_bench.group.build import build_groups, write_groups
from piq_bench.read.dataset import read_benchmark

ABOUT = About("https://example.org/data", ("A. Author",), ("A Lab",), date(2026, 11, 24), cite="@misc{a}")
GROUPS = "image,phash,group\n" + "".join(f"p{p}/{s}.jpg,a{p:015x},{5 * p}\n" for p in range(6) for s in range(5))


def described(folder: Path, about: About = ABOUT) -> dict[str, Any]:
    return croissant(read_benchmark(folder), folder, about)


def by_name(parts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {part["@id"]: part for part in parts}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = dataset(tmp_path / "data")
    for person in range(6):
        (made / "images" / f"p{person}").mkdir(parents=True)
        for shot in range(5):
            Image.new("RGB", (4, 8), (40 * person, 50 * shot, 0)).save(made / "images" / f"p{person}/{shot}.jpg")
    (made / "groups.csv").write_text(GROUPS, encoding="utf-8")
    return made


def test_all_required_properties_are_present(folder: Path) -> None:
    found = described(folder)
    assert found["@type"] == "sc:Dataset" and found["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    required = ("@context", "name", "description", "license", "url", "creator", "datePublished", "version")
    assert all(found[key] for key in required)
    assert found["version"] == "1.0.0" and found["datePublished"] == "2026-11-24"
    assert "0 training images, 6 queries and 24 gallery images" in found["description"]
    assert [creator["@type"] for creator in found["creator"]] == ["Person", "Organization"]


def test_every_table_has_its_hash(folder: Path) -> None:
    files = by_name(described(folder)["distribution"])
    assert list(files) == ["benchmark.toml", "annotations.csv", "groups.csv", "picture-files"]
    for name in ("benchmark.toml", "annotations.csv", "groups.csv"):
        content = (folder / name).read_bytes()
        assert files[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert files[name]["contentSize"] == f"{len(content)} B" and files[name]["contentUrl"] == name
    assert files["picture-files"]["includes"] == "images/*.jpg"
    assert files["picture-files"]["encodingFormat"] == "image/jpeg"


def test_fields_and_labels_come_from_the_vocabulary(folder: Path) -> None:
    records = by_name(described(folder)["recordSet"])
    assert list(records) == ["splits", "labels-gender", "labels-mood", "annotations", "pictures", "groups"]
    assert [row["labels-mood/name"] for row in records["labels-mood"]["data"]] == ["happy", "sad"]
    fields = by_name(records["annotations"]["field"])
    assert [name.split("/")[1] for name in fields] == ["image", "split", "identity", "gender", "mood"]
    assert fields["annotations/mood"]["isArray"] and fields["annotations/mood"]["source"]["transform"] == {
        "separator": "|"
    }
    assert all("cr:Label" in fields[f"annotations/{task}"]["dataType"] for task in ("identity", "gender", "mood"))


def test_missing_files_are_not_described(tmp_path: Path) -> None:
    found = described(dataset(tmp_path / "data", toml=WITHOUT_REID))
    assert list(by_name(found["distribution"])) == ["benchmark.toml", "annotations.csv"]
    records = by_name(found["recordSet"])
    assert "pictures" not in records and "groups" not in records
    assert "annotations/identity" not in by_name(records["annotations"]["field"])


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0.html"),
        ("https://example.org/licence", "https://example.org/licence"),
        ("research only", {"@type": "CreativeWork", "name": "research only"}),
    ],
)
def test_a_licence_is_an_address_where_one_is_known(licence: str, expected: object, tmp_path: Path) -> None:
    toml = TOML.replace('licence = "none"', f'licence = "{licence}"')
    assert described(dataset(tmp_path / "data", toml=toml))["license"] == expected


def test_a_data_set_without_a_licence_is_refused(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "data", toml=TOML.replace('licence = "none"\n', 'licence = ""\n'))
    with pytest.raises(BadDataset, match="no-licence"):
        described(folder)
    about = About("https://example.org", ("A",), (), date(2026, 1, 1), licence="https://example.org/l")
    assert described(folder, about)["license"] == "https://example.org/l"


def test_a_bare_table_is_refused(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "data")
    with pytest.raises(BadDataset, match="layout 'table'"):
        croissant(read_benchmark(folder / "annotations.csv"), folder, ABOUT)


def test_groups_with_a_comment_are_listed_as_a_file_only(folder: Path) -> None:
    header = '# piq-bench/groups/1 {"schema": "piq-bench/groups/1"}\n'
    benchmark = read_benchmark(folder)
    (folder / "groups.csv").write_text(header + GROUPS, encoding="utf-8")
    out = folder / "croissant.json"
    (note,) = write_croissant(out, benchmark, folder, ABOUT)
    assert "groups.csv begins with a comment" in note
    assert "groups" not in by_name(json.loads(out.read_text(encoding="utf-8"))["recordSet"])
    with pytest.raises(BadUsage, match="already exists"):
        write_croissant(out, benchmark, folder, ABOUT)


@pytest.mark.filterwarnings("ignore")
def test_groups_that_this_project_wrote_are_read_by_the_reference_implementation(folder: Path) -> None:
    croissants = pytest.importorskip("mlcroissant")
    (folder / "groups.csv").unlink()
    write_groups(folder / "groups.csv", build_groups(read_benchmark(folder), folder / "images", workers=1))
    out = folder / "croissant.json"
    assert write_croissant(out, read_benchmark(folder), folder, ABOUT) == []
    files = by_name(json.loads(out.read_text(encoding="utf-8"))["distribution"])
    assert files["groups.csv.json"]["encodingFormat"] == "application/json"
    groups = list(croissants.Dataset(out).records("groups"))
    assert [row["groups/image"].decode() for row in groups] == read_benchmark(folder).images.tolist()
    assert groups[7]["groups/group"] == 7  # an image of one colour is alone


@pytest.mark.filterwarnings("ignore")
def test_groups_of_any_tool_are_described_as_they_are(folder: Path) -> None:
    croissants = pytest.importorskip("mlcroissant")
    (folder / "groups.csv").write_text("image,group\np1/2.jpg,shot one\np1/3.jpg,shot one\n", encoding="utf-8")
    out = folder / "croissant.json"
    assert write_croissant(out, read_benchmark(folder), folder, ABOUT) == []
    groups = list(croissants.Dataset(out).records("groups"))
    assert groups[0] == {"groups/image": b"p1/2.jpg", "groups/group": b"shot one"}


@pytest.mark.filterwarnings("ignore")
def test_the_reference_implementation_reads_the_data_without_complaint(folder: Path) -> None:
    croissants = pytest.importorskip("mlcroissant")
    out = folder / "croissant.json"
    assert write_croissant(out, read_benchmark(folder), folder, ABOUT) == []
    read = croissants.Dataset(out)
    issues = read.metadata.ctx.issues
    assert not issues.errors and not issues.warnings
    pictures = list(read.records("pictures"))
    assert len(pictures) == 30
    first = {row["pictures/image"]: row for row in pictures}[b"p1/2.jpg"]
    assert first["pictures/content"].size == (4, 8)
    assert first["pictures/gender"] == b"male" and first["pictures/mood"] == [b"happy", b"sad"]
    assert first["pictures/split"] == b"gallery"
    groups = list(read.records("groups"))
    assert groups[7] == {"groups/image": b"p1/2.jpg", "groups/phash": b"a000000000000001", "groups/group": 5}
