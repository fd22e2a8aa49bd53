"""Names that fit nothing or too much, rows in another order, and hostile files are refused with their reason."""

import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from convert_builders import Case, layumi_content
from folders import write_csv, write_folder
from scipy.io import savemat
from submission_builders import header
from unpacking_here import unpack_here

from piq_bench import limits
from piq_bench.convert import mat, torch_file
from piq_bench.convert.features import Features
from piq_bench.convert.frames import _numbered
from piq_bench.convert.match import match_names
from piq_bench.convert.source import read_features
from piq_bench.convert.submission import convert
from piq_bench.errors import BadInput, BadSubmission, BadUsage
from piq_bench.limits import most_bytes
from piq_bench.read import unpacking
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark


class Harm:
    """Unpickling this creates a file."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return eval, ("open('harm', 'w')",)


def refused(source: Path, case: Case, *, names: Path | None = None) -> str:
    with pytest.raises(BadInput) as refusal:
        convert(source, case.benchmark, source.parent / "out.npz", names=names)
    assert not (source.parent / "out.npz").exists()
    return str(refusal.value)


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


# Hostile files


@pytest.mark.parametrize("name", ["f.pkl", "f.npy", "f.pt"])
def test_pickles_are_refused_and_never_opened(
    name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps({"features": Harm()}))
    assert "is a pickle" in refused(tmp_path / name, case)
    np.save(tmp_path / "object.npy", np.array([Harm()], dtype=object), allow_pickle=True)
    assert "Python objects are never loaded" in refused(tmp_path / "object.npy", case)
    assert not (tmp_path / "harm").exists()


def test_a_pickle_inside_a_torch_file_is_not_executed(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    torch.save({"features": torch.ones(2, 3), "names": ["a", "b"], "more": Harm()}, tmp_path / "f.pt")
    assert "nothing was executed" in refused(tmp_path / "f.pt", case)
    assert not (tmp_path / "harm").exists()


def test_a_small_tensor_of_a_huge_shape_is_refused(case: Case, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"features": torch.ones(1, 1).expand(1 << 20, 1 << 14), "names": ["a"]}, tmp_path / "f.pt")
    assert f"more than {most_bytes((tmp_path / 'f.pt').stat().st_size)} bytes" in refused(tmp_path / "f.pt", case)
    torch.save({"features": torch.ones(2, 2).to_sparse(), "names": ["a", "b"]}, tmp_path / "s.pt")
    assert "expected a dense tensor" in refused(tmp_path / "s.pt", case)


def test_packed_records_of_a_torch_file_are_refused(case: Case, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"features": torch.zeros(100, 100), "names": ["a"] * 100}, tmp_path / "f.pt")
    with (
        zipfile.ZipFile(tmp_path / "f.pt") as whole,
        zipfile.ZipFile(tmp_path / "p.pt", "w", zipfile.ZIP_DEFLATED) as p,
    ):
        for name in whole.namelist():
            p.writestr(name, whole.read(name))
    assert "packed" in refused(tmp_path / "p.pt", case)


def test_without_torch_the_command_to_install_it_is_named(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with zipfile.ZipFile(tmp_path / "f.pt", "w") as archive:
        archive.writestr("f/data.pkl", b"")
    with pytest.raises(BadUsage, match="pip install torch"):
        torch_file.read_torch(tmp_path / "f.pt")


@pytest.mark.parametrize("n_bytes", [0, 5, 60, 130, 140, 200, 500, -8])
@pytest.mark.parametrize("name", ["f.npy", "f.npz", "f.mat", "z.mat", "f.pt", "f.safetensors", "f.parquet"])
def test_a_truncated_file_is_refused(
    name: str, n_bytes: int, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piq_bench.read.parquet.unpack_apart", unpack_here)
    path = tmp_path / name
    names = np.array(case.images)
    if name == "f.npy":
        np.save(path, case.values)
    elif name == "f.npz":
        np.savez(path, features=case.values, names=names)
    elif name.endswith(".mat"):
        savemat(path, {"features": case.values, "names": names}, do_compression=name == "z.mat")
    elif name == "f.pt":
        torch = pytest.importorskip("torch")
        torch.save({"features": torch.tensor(case.values), "names": case.images}, path)
    elif name == "f.safetensors":
        library = pytest.importorskip("safetensors.numpy")
        library.save_file({"features": case.values}, path, metadata={"names": json.dumps(case.images)})
    else:
        pd.DataFrame({"path": names, "embedding": list(case.values)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert path.name in refused(path, case)


@pytest.mark.apart
def test_a_parquet_footer_on_which_the_library_crashes_is_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd.DataFrame({"path": case.images, "embedding": list(case.values)}).to_parquet(tmp_path / "f.parquet")
    monkeypatch.setattr(unpacking, "CHILD", "import os; os.abort()")
    assert "crashed while unpacking it" in refused(tmp_path / "f.parquet", case)


def test_a_header_that_promises_too_much_is_refused(case: Case, tmp_path: Path) -> None:
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 2048), }"
    (tmp_path / "f.npy").write_bytes(header(text, content=bytes(64)))
    assert "the header declares" in refused(tmp_path / "f.npy", case)
    entry = {"features": {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 1 << 42]}}
    raw = json.dumps(entry).encode()
    (tmp_path / "f.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(64))
    assert "not what the file holds" in refused(tmp_path / "f.safetensors", case)


@pytest.mark.parametrize("entry", [3, {}, {"dtype": "F32", "shape": [2, -1], "data_offsets": [0, 8]}, {"dtype": []}])
def test_a_damaged_entry_of_safetensors_is_refused(entry: object, case: Case, tmp_path: Path) -> None:
    raw = json.dumps({"features": entry}).encode()
    (tmp_path / "f.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(64))
    assert "features" in refused(tmp_path / "f.safetensors", case)


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    tensor = torch.tensor([[1.5, -0.007, 3e38], [0.1, 0.2, 0.3]]).to(torch.bfloat16)
    library.save_file({"features": tensor}, tmp_path / "f.safetensors", metadata={"names": '["a", "b"]'})
    torch.save({"features": tensor, "names": ["a", "b"]}, tmp_path / "f.pt")
    for name in ("f.safetensors", "f.pt"):
        features = read_features(tmp_path / name)
        assert isinstance(features, Features)
        assert features.values.tolist() == tensor.to(torch.float32).tolist()


def test_a_mat_file_that_unpacks_to_too_much_is_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    savemat(tmp_path / "f.mat", {"features": np.zeros((1000, 1000))}, do_compression=True)
    assert (tmp_path / "f.mat").stat().st_size < 20_000
    monkeypatch.setattr(mat, "MAX_MEMORY_BYTES", 4_000_000)
    assert "unpacks to more than 4000000 bytes" in refused(tmp_path / "f.mat", case)


def test_a_mat_file_that_declares_more_than_it_holds_is_refused(case: Case, tmp_path: Path) -> None:
    savemat(tmp_path / "f.mat", {"features": np.zeros((4, 4))})
    content = (tmp_path / "f.mat").read_bytes()
    (tmp_path / "f.mat").write_bytes(content.replace(struct.pack("<ii", 4, 4), struct.pack("<ii", 1 << 20, 1 << 20)))
    assert "more than the file holds" in refused(tmp_path / "f.mat", case)
    savemat(tmp_path / "z.mat", {"features": np.zeros((4, 4))}, do_compression=True)
    content = (tmp_path / "z.mat").read_bytes()
    packed = zlib.compress(zlib.decompress(content[136:]).replace(struct.pack("<ii", 4, 4), struct.pack("<ii", 9, 9)))
    (tmp_path / "z.mat").write_bytes(content[:128] + struct.pack("<II", 15, len(packed)) + packed)
    assert "z.mat" in refused(tmp_path / "z.mat", case)


@pytest.mark.apart
def test_a_mat_file_on_which_scipy_crashes_or_hangs_is_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    savemat(tmp_path / "f.mat", {"features": case.values, "names": np.array(case.images)})
    monkeypatch.setattr(unpacking, "CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert "scipy crashed while reading it" in refused(tmp_path / "f.mat", case)
    monkeypatch.setattr(unpacking, "CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(limits, "FREE_WAITING_SECONDS", 0.1)
    monkeypatch.setattr(limits, "WAITING_TIMES", 0)
    assert "was not unpacked within" in refused(tmp_path / "f.mat", case)


def test_variables_of_other_kinds_are_named_but_not_read(case: Case, tmp_path: Path) -> None:
    savemat(tmp_path / "f.mat", {"features": case.values, "names": {"a": 1}, "list": np.array([1, "x"], dtype=object)})
    assert "names (not read), list (not read)" in refused(tmp_path / "f.mat", case)


def test_other_formats_are_refused_with_what_is_read(case: Case, tmp_path: Path) -> None:
    (tmp_path / "f.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "HDF5" in refused(tmp_path / "f.mat", case)
    (tmp_path / "f.dat").write_bytes(b"GIF89a\x00\x00 and more")
    assert ".safetensors" in refused(tmp_path / "f.dat", case)
    assert "no such file" in refused(tmp_path / "nothing.npy", case)
    (tmp_path / "empty").mkdir()
    assert "no .npy files" in refused(tmp_path / "empty", case)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"<!doctype html><title>404, not found</title>\n", "the address gave a web page"),
        (b"\x1f\x8b\x08\0", "gunzip"),
    ],
)
@pytest.mark.parametrize("suffix", [".mat", ".npz", ".csv", ""])
def test_what_a_download_left_is_named_for_features_and_names(
    content: bytes, remedy: str, suffix: str, case: Case, tmp_path: Path
) -> None:
    path = tmp_path / f"left{suffix}"
    path.write_bytes(content)
    assert remedy in refused(path, case)
    np.save(tmp_path / "features.npy", np.eye(2))
    assert remedy in refused(tmp_path / "features.npy", case, names=path)


def test_a_list_of_names_that_has_no_end_is_refused_at_once(case: Case, tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.eye(2))
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        assert "is no file" in refused(tmp_path / "features.npy", case, names=path)


def test_blank_lines_are_no_names_and_what_macos_leaves_is_no_feature(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\ufeffa.jpg\r\n\n b.jpg\n\n", encoding="utf-8")
    np.save(tmp_path / "features.npy", np.eye(2))
    listed = read_features(tmp_path / "features.npy", tmp_path / "names.txt")
    assert isinstance(listed, Features) and [name.strip() for name in listed.names] == ["a.jpg", "b.jpg"]
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "a.npy", np.ones(2))
    (tmp_path / "folder" / "._a.npy").write_bytes(b"\0\5\x16\7")
    left = read_features(tmp_path / "folder", None)
    assert isinstance(left, Features) and left.names == ["a"]
