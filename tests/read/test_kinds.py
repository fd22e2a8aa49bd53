"""Files of other kinds are refused by name, with a repair, wherever a submission or table is expected."""

import gzip
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from submission_builders import BENCHMARK, arrays, as_folder, check, member, npy

from piq_bench.errors import BadDataset, BadSubmission
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.kinds import MAGIC, N_BYTES, kind_of
from piq_bench.read.upload import find_submission

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
PAGE = b'\xef\xbb\xbf\n  <!DOCTYPE html>\n<html lang="en"><title>Virus scan warning</title>'


def checkpoint() -> bytes:
    """What torch.save writes since PyTorch 1.6."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02.")
        archive.writestr("model/data/0", bytes(64))
    return stream.getvalue()


def safetensors() -> bytes:
    header = b'{"features":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return struct.pack("<Q", len(header)) + header + bytes(4)


CONVERT = "piq convert entry.bin --dataset DATASET --out submission.npz"
KINDS = {
    "pointer": (POINTER, "is a Git LFS pointer", "git lfs pull"),
    "page": (PAGE, "is an HTML page", "download"),
    "checkpoint": (checkpoint(), "is a PyTorch checkpoint", CONVERT),
    "old checkpoint": (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2), "is a PyTorch checkpoint", CONVERT),
    "pickle": (pickle.dumps({"image": [1]}), "is a Python pickle", "numpy.savez"),
    "pickle of Python 2": (pickle.dumps({"image": [1]}, protocol=2), "is a Python pickle", "numpy.savez"),
    "MATLAB 5": (b"MATLAB 5.0 MAT-file, Platform: posix", "is a MATLAB file", CONVERT),
    "MATLAB 7.3": (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "is a MATLAB file of version 7.3", "save -v7"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file", "h5py"),
    "safetensors": (safetensors(), "is a safetensors file", CONVERT),
    "gzip": (gzip.compress(b"x" * 99), "is compressed with gzip", "gunzip entry.bin"),
    "array": (npy(np.zeros((8, 4))), "is a single .npy array", "embedding.npy"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_another_kind_is_named_with_its_repair(name: str, dataset: Path, tmp_path: Path) -> None:
    content, found, remedy = KINDS[name]
    (tmp_path / "entry.bin").write_bytes(content)
    result = check(tmp_path / "entry.bin", dataset)
    assert result.exit_code == 3
    assert "refused, 1 problem\n" in result.stderr
    assert found in result.stderr and remedy in result.stderr


@pytest.mark.parametrize("start", [b"", b"\x80", b"image,age\n", b"PAR1", b"PK\3\4", b"\x80\x09", bytes(N_BYTES)])
def test_other_bytes_are_not_named(start: bytes) -> None:
    assert kind_of(start) is None


def test_no_beginning_hides_another() -> None:
    for magic, kind in MAGIC.items():
        assert kind_of(magic) == kind
        assert len(magic) <= N_BYTES


@pytest.mark.parametrize("content", [POINTER, PAGE], ids=["pointer", "page"])
@pytest.mark.parametrize("place", ["archive", "folder"])
def test_an_array_of_another_kind_is_named(place: str, content: bytes, dataset: Path, tmp_path: Path) -> None:
    make: dict[str, Callable[[Path], Path]] = {
        "archive": member("age.npy", content),
        "folder": as_folder(lambda folder: (folder / "age.npy").write_bytes(content)),
    }
    result = check(make[place](tmp_path), dataset)
    assert result.exit_code == 3
    found = kind_of(content)
    assert found is not None and f"age  {found.found}" in result.stderr and found.remedy in result.stderr


@pytest.mark.parametrize("content", [POINTER, PAGE], ids=["pointer", "page"])
@pytest.mark.parametrize("file", ["annotations.csv", "annotations.parquet", "groups.csv", "benchmark.toml"])
def test_a_file_of_a_data_set_of_another_kind_is_named(file: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    if not file.startswith("annotations"):
        (tmp_path / "annotations.csv").write_text("image,split,identity,age,mood\na,query,1,,\nb,gallery,1,,\n")
    (tmp_path / file).write_bytes(content)
    with pytest.raises(BadDataset) as refused:
        read_benchmark(tmp_path)
    assert len(refused.value.problems) == 1
    kind = kind_of(content)
    assert kind is not None and kind.found in str(refused.value) and file in str(refused.value)


def test_a_compressed_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(gzip.compress(b"image,age\n" * 9))
    with pytest.raises(BadDataset, match=r"gunzip labels\.csv"):
        read_benchmark(tmp_path / "labels.csv")


def test_a_checkpoint_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(safetensors())
    with pytest.raises(BadDataset, match=r"is a safetensors file\n.*-> a \.csv or \.parquet file"):
        read_benchmark(tmp_path / "labels.csv")


def test_a_checkpoint_uploaded_to_a_host_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(checkpoint())
    (tmp_path / "place").mkdir()
    with pytest.raises(BadSubmission, match="is a PyTorch checkpoint"):
        find_submission(tmp_path / "model.pth", tmp_path / "place")


def test_vectors_as_objects_and_bfloat16_get_their_repair(dataset: Path, tmp_path: Path) -> None:
    vectors = np.empty(8, dtype=object)
    vectors[:] = list(arrays()["embedding"])
    stream = io.BytesIO()
    np.save(stream, vectors, allow_pickle=True)
    assert "numpy.stack(list(values))" in check(member("embedding.npy", stream.getvalue())(tmp_path), dataset).stderr
    half = np.zeros((8, 4), dtype="V2")  # what numpy.save makes of bfloat16 arrays of ml_dtypes and JAX
    assert "tensor.float().numpy()" in check(member("embedding.npy", npy(half))(tmp_path), dataset).stderr
