"""A torch file that torch would refuse is refused before torch is imported; what torch reads goes on to it."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest

from piq_bench.convert import torch_file, torch_index
from piq_bench.convert.torch_file import read_torch
from piq_bench.errors import BadSubmission

READ = {"features": "read by torch"}
PLAIN = b"\x80\x02}X\x01\0\0\0nX\x01\0\0\0as."  # {"n": "a"}


@pytest.fixture(autouse=True)
def _without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_file, "find_spec", lambda name: name)
    monkeypatch.setattr(torch_file, "read_apart", lambda *arguments: READ)


def torch_like(path: Path, index: bytes, name: str = "a/data.pkl") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/version", "3\n")
        archive.writestr(name, index)
    return path


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (pickle.dumps({"features": eval}, 2), r"holds Python objects \(__builtin__\.eval\) besides tensors"),
        (b"\x80\x02cnumpy\nndarray\n.", r"numpy\.ndarray"),
        (b"\x80\x02cos.path\ntorch\n.", r"os\.path\.torch"),
        (b"\x80\x02ctorchvision\nx\n.", r"torchvision\.x"),
        (b"\x80\x02ctorch.hub\nload\n.", r"torch\.hub\.load"),
        (pickle.dumps({"features": [1.0]}, 4), "takes FRAME to be read; nothing was executed"),
        (b"\x80\x02(ios\nsystem\n.", "takes INST to be read"),
        (PLAIN[:-1], "exhausted before seeing STOP"),
        (PLAIN.replace(b"\x01\0\0\0n", b"\xff\xff\xff\x7fn"), "its index cannot be read"),
        (b"\xff\xff", "its index cannot be read"),
        (b"", "its index cannot be read"),
    ],
)
def test_what_torch_would_refuse_is_refused_without_it(index: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadSubmission, match=message):
        read_torch(torch_like(tmp_path / "a.pt", index))


def test_an_index_that_torch_would_not_find_is_refused(tmp_path: Path) -> None:
    assert read_torch(torch_like(tmp_path / "a.pt", PLAIN)) == READ
    with zipfile.ZipFile(tmp_path / "empty.pt", "w"):
        pass
    with pytest.raises(BadSubmission, match=r"its first folder has no data\.pkl"):
        read_torch(tmp_path / "empty.pt")
    with pytest.raises(BadSubmission, match=r"its first folder has no data\.pkl"):
        read_torch(torch_like(tmp_path / "b.pt", PLAIN, "b/data.pkl"))


def test_a_long_index_and_one_with_a_wrong_checksum_are_left_to_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = torch_like(tmp_path / "a.pt", PLAIN)
    path.write_bytes(path.read_bytes().replace(PLAIN, PLAIN[:-3] + b"bs."))
    assert read_torch(path) == READ
    monkeypatch.setattr(torch_index, "MOST_CHECKED_BYTES", 5)
    assert read_torch(torch_like(tmp_path / "b.pt", b"\x80\x02]]].")) == READ


def test_every_name_and_operation_that_torch_accepts_goes_on_to_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    unpickler = pytest.importorskip("torch._weights_only_unpickler")
    names = [name.rpartition(".") for name in unpickler._get_allowed_globals()]
    assert len(names) > 100
    assert [name for name in names if not torch_index.KNOWN.fullmatch(f"{name[0]} {name[2]}")] == []
    operations = [name for name in vars(unpickler) if name.isupper() and name in vars(pickle)]
    assert len(operations) > 30
    assert [name for name in operations if not torch_index.OPERATIONS.fullmatch(name)] == []
    tensor, stream = torch.ones(3, 2), io.BytesIO()
    parts = [tensor.T, tensor.bfloat16(), torch.nn.Parameter(tensor), tensor.to_sparse(), tensor.dtype, tensor.shape]
    torch.save(
        {"features": parts, "n": {"a", 1.5, 1 << 70, True, None, 3, 300, -1}, "b": (b"a", bytearray(b"b"))}, stream
    )
    (tmp_path / "a.pt").write_bytes(stream.getvalue())
    assert read_torch(tmp_path / "a.pt") == READ
