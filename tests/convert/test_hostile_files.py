"""Files of features that are pickled, truncated, damaged or too large are refused with their reason."""

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
from convert_builders import Case, refused
from scipy.io import savemat
from submission_builders import header
from unpacking_here import unpack_here

from piq_bench import limits
from piq_bench.convert import mat, torch_file
from piq_bench.convert.features import Features
from piq_bench.convert.source import read_features
from piq_bench.errors import BadUsage
from piq_bench.limits import most_bytes
from piq_bench.read import unpacking


class Harm:
    """Unpickling this creates a file."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return eval, ("open('harm', 'w')",)


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
