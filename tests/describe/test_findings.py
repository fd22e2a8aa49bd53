"""Every finding about a data set has its severity, its count and the first few names."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from builders import Size, benchmark
from folders import COLUMNS, ROWS, TOML, Row, changed, write_csv, write_folder, write_market

from piq_bench.describe import findings as findings_module
from piq_bench.describe.findings import find_findings, mixed_groups
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.records import GIVEN, Groups


def found(folder: Path) -> dict[str, tuple[str, str]]:
    """Severity and text of each finding by code; texts of one code joined."""
    inspection = inspect_dataset(folder)
    findings: dict[str, tuple[str, str]] = {}
    for finding in find_findings(inspection.benchmark, inspection.integrity, inspection.notes):
        before = findings.get(finding.code, ("", ""))[1]
        findings[finding.code] = (finding.severity, before + finding.text + "\n")
    return findings


def with_groups(folder: Path, groups: Mapping[str, int]) -> Path:
    lines = [f"{image},{group:016x},{group}" for image, group in groups.items()]
    (folder / "groups.csv").write_text("image,phash,group\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


def clean_rows() -> list[Row]:
    """Two people of train and two of test, ten images of each label in both."""
    rows: list[Row] = []
    for split, person in (("train", "t"), ("gallery", "g"), ("query", "g")):
        for n in range(20):
            mood = ("happy", "sad|angry")[n % 2]
            rows.append((f"{split}/{n}.jpg", split, f"{person}{n % 2}", ("female", "male")[n % 2], mood, "s", "c"))
    return rows


def test_nothing_is_odd_about_a_good_data_set(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [row[:-1] for row in clean_rows()], COLUMNS[:-1])  # without the camera
    images = sorted(row[0] for row in clean_rows() if row[1] != "train")
    assert found(with_groups(folder, {image: n for n, image in enumerate(images)})) == {}


def test_broken_rules_between_rows_are_errors(tmp_path: Path) -> None:
    findings = found(write_folder(tmp_path, changed(5, identity="p1")))
    severity, text = findings["identity-overlap"]
    assert severity == "error"
    assert "'p1' is in train (line 2 ('a/01.jpg')) and in gallery (line 7 ('b/03.jpg'))" in text
    assert "no identity of train" in text
    severity, text = found(write_folder(tmp_path, changed(3, identity="p9")))["query-not-in-gallery"]
    assert (severity, "'p9'" in text) == ("error", True)


def test_unused_columns_are_notes(tmp_path: Path) -> None:
    findings = found(write_folder(tmp_path, [(*row, "x") for row in ROWS], (*COLUMNS, "caption")))
    assert findings["unused-column"] == ("note", "annotations.csv: column 'caption' is ignored\n")


def test_labels_without_images_and_with_few_are_named(tmp_path: Path) -> None:
    findings = found(write_folder(tmp_path))
    assert findings["unused-label"] == (
        "warning",
        "gender: 1 of 2 labels have no image in train: 'male'\n"
        "mood: 1 of 3 labels have no image in train: 'angry'\n"
        "mood: 1 of 3 labels have no image in query and gallery: 'happy'\n",
    )
    assert findings["tiny-label"] == (
        "warning",
        "gender: labels with fewer than 10 test images (number in brackets): 'female (1)', 'male (2)'\n"
        "mood: labels with fewer than 10 test images (number in brackets): 'sad (2)', 'angry (1)'\n",
    )


@pytest.mark.parametrize(
    ("n_annotated", "severity", "code", "text"),
    [
        (
            39,
            "note",
            "missing-labels",
            "some of the 40 test images are not annotated; labels missing: gender 1\n",
        ),
        (
            20,
            "note",
            "missing-labels",
            "some of the 40 test images are not annotated; labels missing: gender 20\n",
        ),
        (
            19,
            "warning",
            "missing-labels",
            "most of the 40 test images are not annotated; labels missing: gender 21\n",
        ),
        (0, "warning", "task-without-labels", "no test image is annotated for gender; no score is possible\n"),
    ],
)
def test_missing_labels_are_counted(tmp_path: Path, n_annotated: int, severity: str, code: str, text: str) -> None:
    rows = clean_rows()
    for n in range(20 + n_annotated, 60):  # the first 20 are of train
        rows[n] = (*rows[n][:3], "", *rows[n][4:])
    assert found(write_folder(tmp_path, rows))[code] == (severity, text)


def test_people_with_one_image_are_counted(tmp_path: Path) -> None:
    rows = [*clean_rows(), ("x.jpg", "train", "lone", "", "", "", ""), ("y.jpg", "gallery", "single", "", "", "", "")]
    assert found(write_folder(tmp_path, rows))["single-image-identity"] == (
        "note",
        "train: 1 of 3 identities have only one image: 'lone'\n"
        "query and gallery: 1 of 3 identities have only one image: 'single'\n",
    )


def test_queries_that_lose_every_positive_to_near_duplicates_are_counted(tmp_path: Path) -> None:
    # b/01 asks for p2, who is only in b/02; the two are near-duplicates.
    folder = with_groups(write_folder(tmp_path), {"b/01.jpg": 0, "b/02.jpg": 0, "b/03.jpg": 2, "b/04.jpg": 3})
    findings = found(folder)
    assert findings["query-without-positive"][0] == "warning"
    assert "1 of 1 queries have no positive after exclusion (group)" in findings["query-without-positive"][1]
    assert findings["identity-without-query"][1].endswith("do not count in the macro mean: 'p2'\n")
    assert "no-groups" not in findings


def test_queries_that_lose_every_positive_to_their_camera_are_counted(tmp_path: Path) -> None:
    names = {
        "bounding_box_train": ["0009_c1s1_0.jpg"],
        "query": ["0001_c1s1_0.jpg", "0002_c1s1_0.jpg"],
        "bounding_box_test": ["0001_c1s1_1.jpg", "0002_c1s1_1.jpg", "0002_c2s1_0.jpg"],
    }
    text = found(write_market(tmp_path, names))["query-without-positive"][1]
    assert text.startswith("1 of 2 queries have no positive after exclusion (identity+camera)")
    assert "'query/0001_c1s1_0.jpg'" in text


@pytest.mark.parametrize("seed", range(4))
def test_queries_without_positive_are_those_of_a_plain_count(seed: int) -> None:
    data = benchmark(np.random.default_rng(seed), Size(n_query=30, n_gallery=20, n_identities=10))
    assert data.groups is not None
    group = data.groups.group
    lost = []
    for query in np.flatnonzero((data.split == 1) & (data.identity >= 0)):
        right = [g for g in np.flatnonzero(data.split == 2) if data.identity[g] == data.identity[query]]
        if not [g for g in right if not data.junk[g] and not (group[g] >= 0 and group[g] == group[query])]:
            lost.append(data.images[query])
    texts = {finding.code: finding.text for finding in find_findings(data)}
    assert texts.get("query-without-positive", "0 of ").startswith(f"{len(lost)} of ")
    assert all(name in texts["query-without-positive"] for name in lost[:3])


@pytest.mark.parametrize(("n_gallery", "giant"), [(491, True), (492, False)])
def test_a_group_of_more_than_a_hundredth_is_a_giant(
    n_gallery: int, giant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings_module, "GIANT_IMAGES", 4)
    data = benchmark(np.random.default_rng(1), Size(n_query=8, n_gallery=n_gallery), mode="components")
    group = np.full(data.images.size, -1)
    test = np.flatnonzero(data.split != 0)
    group[test[:5]] = test[0]  # of 499 or of 500 test images
    group[test[5:9]] = test[5]  # 4 are not more than 4
    groups = Groups(data.grouping, np.zeros(data.images.size, np.uint64), group)
    findings = {finding.code: finding for finding in find_findings(dataclasses.replace(data, groups=groups))}
    assert ("giant-group" in findings) == giant
    if giant:
        assert findings["giant-group"].severity == "warning"
        assert findings["giant-group"].text.endswith(f": '{data.images[test[0]]} (5)'")
        assert "the threshold of 6 may be too high" in findings["giant-group"].text
        given = dataclasses.replace(data, groups=Groups(GIVEN, groups.phash, group))
        assert "threshold" not in {finding.code: finding.text for finding in find_findings(given)}["giant-group"]


def test_groups_of_several_sources_and_people_are_named() -> None:
    data = benchmark(np.random.default_rng(1), mode="components")
    test = np.flatnonzero(data.split != 0)
    group = np.full(data.images.size, -1)
    group[test[:20]] = test[0]
    group[test[20:]] = test[20]
    groups = Groups(data.grouping, np.zeros(data.images.size, np.uint64), group)
    findings = {finding.code: finding for finding in find_findings(dataclasses.replace(data, groups=groups))}
    assert findings["group-spans-sources"].text.startswith("2 near-duplicate groups hold images of several sources")
    assert findings["group-spans-identities"].text.startswith(
        "2 near-duplicate groups hold images of several identities"
    )


def test_a_data_set_without_test_images_queries_or_groups_says_so(tmp_path: Path) -> None:
    no_test = [row for row in ROWS if row[1] == "train"]
    assert found(write_folder(tmp_path / "train", no_test))["no-test-images"][0] == "warning"
    no_query = [row for row in ROWS if row[1] != "query"]
    assert found(write_folder(tmp_path / "gallery", no_query))["no-queries"][0] == "warning"
    assert found(write_folder(tmp_path / "all"))["no-groups"][0] == "note"
    bare = found(write_csv(tmp_path / "labels.csv", [("1.jpg", "p1")], ("image", "identity")))
    assert bare["no-test-images"][0] == "note"
    assert "no-groups" not in bare


def test_without_a_retrieval_task_identities_give_no_finding(tmp_path: Path) -> None:
    toml = TOML[: TOML.index("[tasks.reid]")] + '[tasks.gender]\naspect = "a"\nlabels = ["female", "male"]\n'
    codes = set(found(write_folder(tmp_path, toml=toml)))
    assert codes == {"unused-column", "unused-label", "tiny-label", "missing-labels"}


def test_groups_are_mixed_by_known_values_only() -> None:
    group = np.array([3, 3, 5, 5, 7, 7, 9])
    value = np.array([1, 1, 1, 2, 1, -1, 4])
    assert mixed_groups(group, value).tolist() == [5]
    assert mixed_groups(group[:0], value[:0]).tolist() == []


def test_the_bundled_benchmark_has_no_error() -> None:
    assert not [finding for finding in find_findings(read_benchmark(None)) if finding.severity == "error"]
