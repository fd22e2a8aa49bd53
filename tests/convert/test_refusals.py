"""Names that fit nothing or too much, rows in another order, and unclear features are refused with their reason."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from convert_builders import Case, layumi_content, refused
from folders import write_csv, write_folder
from scipy.io import savemat

from piq_bench.convert.features import Features
from piq_bench.convert.frames import _numbered
from piq_bench.convert.match import match_names
from piq_bench.convert.source import read_features
from piq_bench.convert.submission import convert
from piq_bench.errors import BadSubmission
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark


def flat(folder: Path, images: list[str]) -> Benchmark:
    """A benchmark of these images, all but the first in the gallery."""
    rows = [(image, "gallery" if place else "query", "p") for place, image in enumerate(images)]
    toml = """schema = "piq-bench/benchmark/1"
name = "t"
version = "1"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
"""
    return read_benchmark(write_folder(folder, rows, ("image", "split", "identity"), toml=toml))


def test_links_in_a_folder_of_features_are_refused(tmp_path: Path) -> None:
    """As in the folder of a submission. One to nowhere is told too: its image would be missing without a word."""
    folder = tmp_path / "features"
    folder.mkdir()
    np.save(tmp_path / "secret.npy", np.ones((1, 4)))
    np.save(folder / "a.npy", np.ones((1, 4)))
    (folder / "c.npy").symlink_to(tmp_path / "secret.npy")
    (folder / "b.npy").symlink_to("nowhere")
    (folder / "._d.npy").symlink_to("nowhere")
    with pytest.raises(BadSubmission, match=r"holds 2 links: 'b\.npy', 'c\.npy'\s+-> copy the files"):
        read_features(folder)
    (folder / "b.npy").unlink()
    (folder / "c.npy").unlink()
    found = read_features(folder)
    assert isinstance(found, Features) and found.names == ["a"]


# Names


@pytest.mark.parametrize(
    ("images", "names", "expected"),
    [
        (["a/1.jpg", "b/2.jpg"], ["b/2.jpg", "a/1.jpg"], [1, 0]),
        (["a/1.jpg", "b/1.jpg"], ["/x/b/1.jpg", "/x/a/1.jpg"], [1, 0]),
        (["a/1.jpg", "b/1.jpg"], ["C:\\x\\b\\1.jpg", "C:\\x\\a\\1.jpg"], [1, 0]),
        (["a/1.jpg", "b/1.jpg"], ["./b/1.jpg", "./a/1.jpg"], [1, 0]),
        (["q/a/1.jpg", "q/b/1.jpg"], ["b/1.jpg", "a/1.jpg"], [1, 0]),
        (["a/1.jpg", "b/2.jpg"], ["2.jpg", "1.jpg"], [1, 0]),
        (["a/1.jpg", "b/2.jpg"], ["/other/2.jpg", "/other/1.jpg"], [1, 0]),
        (["1.jpg", "b/1.jpg"], ["/x/b/1.jpg", "1.jpg"], None),  # not matched in one way
        (["b/1.jpg", "x/b/1.jpg"], ["/y/x/b/1.jpg", "/y/b/1.jpg"], [1, 0]),  # the longest id wins
        (["run_1_c3/1.jpg", "run_2_c3/2.jpg"], ["/run_2_c3/run_1_c3/1.jpg", "/run_1_c3/run_2_c3/2.jpg"], [0, 1]),
        (["ab/1.jpg", "b/2.jpg"], ["/x/cab/1.jpg", "/x/ab/2.jpg"], [0, 1]),  # whole parts of a path, not letters
    ],
)
def test_names_are_matched_by_id_then_by_tail_then_by_base_name(
    images: list[str], names: list[str], expected: list[int] | None, tmp_path: Path
) -> None:
    benchmark = flat(tmp_path, images)
    if expected is None:
        with pytest.raises(BadSubmission, match="missing"):
            match_names(tmp_path, names, benchmark)
        return
    rows, note = match_names(tmp_path, names, benchmark)
    assert rows.tolist() == expected
    assert note == ""


def test_a_row_of_another_folder_never_takes_the_place_of_a_missing_image(tmp_path: Path) -> None:
    benchmark = flat(tmp_path, ["query/1.jpg", "gallery/2.jpg"])
    with pytest.raises(BadSubmission, match=r"1 gallery image is missing: 'gallery/2\.jpg'"):
        match_names(tmp_path, ["/x/query/1.jpg", "/x/train/2.jpg"], benchmark)


def test_all_problems_of_names_come_together(tmp_path: Path) -> None:
    benchmark = flat(tmp_path, ["q/1.jpg", "a/1.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg"])
    with pytest.raises(BadSubmission) as refusal:
        match_names(tmp_path, ["1.jpg", "2.jpg", "x/2.jpg", "5.jpg"], benchmark)
    assert [(problem.code, problem.count) for problem in refusal.value.problems] == [
        ("ambiguous-name", 1),
        ("duplicate-image", 1),
        ("missing-image", 2),
    ]
    text = str(refusal.value)
    assert "'1.jpg: a/1.jpg or q/1.jpg'" in text
    assert "'b/2.jpg: rows 1 and 2'" in text
    assert "'b/3.jpg', 'b/4.jpg'" in text


def test_files_of_single_images_whose_names_collide_are_refused(tmp_path: Path) -> None:
    benchmark = flat(tmp_path / "data", ["q/1.a.jpg", "g/1.b.jpg", "g/2.jpg"])
    (tmp_path / "features").mkdir()
    for name in ("1", "2"):
        np.save(tmp_path / "features" / f"{name}.npy", np.ones((1, 3), np.float32))
    with pytest.raises(BadSubmission, match=r"ambiguous-name"):
        convert(tmp_path / "features", benchmark, tmp_path / "out.npz")


def test_vectors_of_single_images_must_have_one_size(tmp_path: Path) -> None:
    for name, values in {"a": np.ones(3), "b": np.ones((1, 4)), "c": np.ones((2, 2)), "d": np.ones(3)}.items():
        np.save(tmp_path / f"{name}.npy", values)
    np.save(tmp_path / "e.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(BadSubmission) as refusal:
        read_features(tmp_path)
    assert {problem.code for problem in refusal.value.problems} == {"bad-header", "bad-shape"}
    assert "b.npy: 4 values, the first has 3" in str(refusal.value)
    assert "e.npy" in str(refusal.value)


def test_values_that_are_not_finite_are_named_by_image(case: Case, tmp_path: Path) -> None:
    values = case.values.copy()
    row = case.images.index("query/0001_c1s1_000100_00.jpg")
    values[row, 2] = np.nan
    values[case.images.index("bounding_box_train/0100_c1s1_000001_01.jpg")] = np.inf  # is not used
    values[case.images.index("bounding_box_test/0002_c1s1_000201_01.jpg")] = 0
    np.savez(tmp_path / "f.npz", features=values, names=np.array(case.images))
    text = refused(tmp_path / "f.npz", case)
    assert "1 image has NaN or infinite values: 'query/0001_c1s1_000100_00.jpg'" in text
    assert "1 image has only zeros: 'bounding_box_test/0002_c1s1_000201_01.jpg'" in text


def test_a_double_that_float32_cannot_hold_is_refused(case: Case, tmp_path: Path) -> None:
    values = case.values.astype(np.float64)
    values[:, 0] = 1e300
    np.savez(tmp_path / "f.npz", features=values, names=np.array(case.images))
    assert "14 images have NaN or infinite values" in refused(tmp_path / "f.npz", case)


# The order of layumi's files


@pytest.mark.parametrize("part", ["query", "gallery"])
def test_rows_in_another_order_are_refused(part: str, case: Case, tmp_path: Path) -> None:
    content = layumi_content(case)
    order = np.arange(len(content[f"{part}_label"]))
    order[[0, -1]] = order[[-1, 0]]
    for field in ("f", "label", "cam"):
        content[f"{part}_{field}"] = np.asarray(content[f"{part}_{field}"])[order]
    savemat(tmp_path / "pytorch_result.mat", content)
    text = refused(tmp_path / "pytorch_result.mat", case)
    assert "2 rows do not fit the order of torchvision's folders: 'row 0: person" in text
    assert "wrong-order" in text


@pytest.mark.parametrize(
    ("field", "value", "row"), [("cam", 7, "person 1, camera 7"), ("label", 2, "person 2, camera 2")]
)
def test_one_wrong_person_or_camera_is_refused(field: str, value: int, row: str, case: Case, tmp_path: Path) -> None:
    content = layumi_content(case)
    content[f"gallery_{field}"][3] = value
    savemat(tmp_path / "r.mat", content)
    text = refused(tmp_path / "r.mat", case)
    assert "1 rows do not fit" in text
    assert f"row 3: {row}, but its image would be 0001_c2s1_000101_01.jpg" in text


def test_missing_rows_without_names_are_refused(case: Case, tmp_path: Path) -> None:
    content = {key: value[1:] for key, value in layumi_content(case).items()}
    savemat(tmp_path / "r.mat", content)
    text = refused(tmp_path / "r.mat", case)
    assert "2 rows, but the benchmark has 3 query images" in text
    assert "10 rows, but the benchmark has 11 gallery images" in text


def test_multi_query_features_are_refused(case: Case, tmp_path: Path) -> None:
    savemat(tmp_path / "multi_query.mat", {"mquery_f": case.values, "mquery_label": [1], "mquery_cam": [1]})
    assert "averaged over several images" in refused(tmp_path / "multi_query.mat", case)


# What a file holds


def test_features_that_are_not_clear_are_listed(tmp_path: Path) -> None:
    savemat(tmp_path / "f.mat", {"one": np.ones((2, 3)), "two": np.ones((2, 4))})
    with pytest.raises(BadSubmission, match=r"has 2 matrices of features: 'one', 'two'; it holds one \(2, 3\), two"):
        read_features(tmp_path / "f.mat")
    np.savez(tmp_path / "f.npz", features=np.ones((2, 3)), other=np.ones(2))
    with pytest.raises(
        BadSubmission, match=r"no lists of names; it holds features \(2, 3\), other \(not read\)\n.*--names"
    ):
        read_features(tmp_path / "f.npz")
    np.save(tmp_path / "f.npy", np.ones((2, 3)))
    with pytest.raises(BadSubmission, match="holds no names"):
        read_features(tmp_path / "f.npy")


def test_of_several_columns_of_names_the_path_comes_before_the_name(tmp_path: Path) -> None:
    pd.DataFrame({"name": ["Ann"], "path": ["a/1.jpg"], "img_id": [7], "embedding": [[0.5]]}).to_csv(tmp_path / "f.csv")
    pd.DataFrame({"name": ["Ann"], "path": ["a/1.jpg"], "embedding": [[0.5]]}).to_parquet(tmp_path / "f.parquet")
    np.savez(tmp_path / "f.npz", name=np.array(["Ann"]), path=np.array(["a/1.jpg"]), embedding=np.ones((1, 1)))
    for suffix in ("csv", "parquet", "npz"):
        features = read_features(tmp_path / f"f.{suffix}")
        assert isinstance(features, Features)
        assert list(features.names) == ["a/1.jpg"]


def test_names_must_be_one_for_each_row(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones((2, 3)))
    (tmp_path / "n.txt").write_text("a\nb\nc\n", encoding="utf-8")
    with pytest.raises(BadSubmission, match=r"shape \(2, 3\), but there are 3 names \(its transpose fits\)"):
        read_features(tmp_path / "f.npy", tmp_path / "n.txt")


@pytest.mark.parametrize(
    ("name", "content"),
    [("n.json", "[1, 2]"), ("n.json", "{"), ("n.txt", ""), ("n.csv", "label,b\n1,2\n"), ("n.csv", "path\na,b\n")],
)
def test_names_that_cannot_be_read_are_refused(name: str, content: str, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones((2, 3)))
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadSubmission, match=name):
        read_features(tmp_path / "f.npy", tmp_path / name)


def test_columns_of_dimensions_are_numbered_without_a_gap() -> None:
    assert _numbered(["Unnamed: 0", "path", "x_1", "x_0", "y_0"]) == ["x_0", "x_1"]
    assert _numbered(["0", "1", "3"]) == []
    assert _numbered(["2", "0", "1"]) == ["0", "1", "2"]
    assert _numbered(["00", "01"]) == []


@pytest.mark.parametrize("value", ["[0.1, 'x']", "[0.1 ... 0.2]", "[[1], [2]]", "nothing", "[0.1, 0.2, 0.3]"])
def test_lists_in_csv_are_complete_numbers(value: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "f.csv", [("a.jpg", "[0.1, 0.2]"), ("b.jpg", value)], ("path", "embedding"))
    with pytest.raises(BadSubmission, match="row 2"):
        read_features(tmp_path / "f.csv")


def test_lists_as_numpy_prints_them_are_read(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.jpg"], "embedding": [np.arange(40) / 2]}).to_csv(tmp_path / "f.csv")
    features = read_features(tmp_path / "f.csv")
    assert isinstance(features, Features)
    assert features.values.tolist() == [(np.arange(40) / 2).tolist()]
