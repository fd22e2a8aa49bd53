"""The reader of safetensors believes no header: each claim is compared with the file before values are read."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from piq_bench.convert import safetensors
from piq_bench.convert.safetensors import is_safetensors, read_safetensors
from piq_bench.errors import BadSubmission

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def write(folder: Path, head: object, values: bytes = VALUES.tobytes()) -> Path:
    path = folder / "f.safetensors"
    raw = head if isinstance(head, bytes) else json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + values)
    return path


def refused(path: Path) -> str:
    with pytest.raises(BadSubmission) as refusal:
        read_safetensors(path)
    return str(refusal.value)


def test_tensors_are_read_from_their_places_and_other_types_are_left_out(tmp_path: Path) -> None:
    head = {
        "features": ENTRY,
        "whole": {"dtype": "I64", "shape": [1], "data_offsets": [24, 32]},
        "empty": {"dtype": "F16", "shape": [0, 4], "data_offsets": [32, 32]},
        "one": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]},
    }
    path = write(tmp_path, head, VALUES.tobytes() + struct.pack("<HHI", 0x3FC0, 0, 0))
    content = read_safetensors(path)
    assert list(content) == ["features", "empty", "one"]
    assert np.array_equal(np.asarray(content["features"]), VALUES)
    assert np.asarray(content["empty"]).shape == (0, 4)
    assert np.asarray(content["one"]).shape == () and float(np.asarray(content["one"])) == 1.5  # 0x3FC0


def test_names_come_from_metadata_as_json_or_as_lines(tmp_path: Path) -> None:
    head = {"__metadata__": {"names": '["a", "b"]', "Paths": "c\nd", "format": "pt", "images": 3}, "features": ENTRY}
    content = read_safetensors(write(tmp_path, head))
    assert content.pop("features") is not None
    assert content == {"names": ["a", "b"], "Paths": ["c", "d"]}
    assert list(read_safetensors(write(tmp_path, {"__metadata__": ["names"], "features": ENTRY}))) == ["features"]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"\xff": 1}', "not JSON"),
        (b"[]", "no JSON object"),
        ({"features": None}, "has the entry"),
        ({"features": {**ENTRY, "shape": [2, True]}}, "has the entry"),
        ({"features": {**ENTRY, "shape": [-2, -3]}}, "has the entry"),
        ({"features": {**ENTRY, "data_offsets": [0, 24, 24]}}, "has the entry"),
        ({"features": {**ENTRY, "data_offsets": [24, 0]}}, "in bytes 24 to 0"),
        ({"features": {**ENTRY, "data_offsets": [0, 20]}}, "in bytes 0 to 20"),
        ({"features": {**ENTRY, "data_offsets": [1, 25]}}, "in bytes 1 to 25"),
    ],
)
def test_a_header_that_the_file_does_not_bear_out_is_refused(tmp_path: Path, head: object, reason: str) -> None:
    assert reason in refused(write(tmp_path, head))


def test_tensors_that_share_values_cannot_multiply_a_file(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}
    path = write(tmp_path, dict.fromkeys("ab", entry), bytes(4000))
    assert list(read_safetensors(path)) == ["a", "b"]
    path = write(tmp_path, dict.fromkeys("abc", entry), bytes(4000))
    assert "shares its values with other tensors" in refused(path)


def test_a_long_header_and_a_large_tensor_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, {"features": ENTRY})
    monkeypatch.setattr(safetensors, "MAX_MEMORY_BYTES", 23)
    assert "more than 23 bytes" in refused(path)
    monkeypatch.setattr(safetensors, "MAX_MEMORY_BYTES", 24)
    assert list(read_safetensors(path)) == ["features"]
    length = struct.unpack("<Q", path.read_bytes()[:8])[0]
    monkeypatch.setattr(safetensors, "MAX_HEADER_BYTES", length)
    assert list(read_safetensors(path)) == ["features"]
    monkeypatch.setattr(safetensors, "MAX_HEADER_BYTES", length - 1)
    assert "the header has" in refused(path)


def test_the_first_nine_bytes_tell_the_format(tmp_path: Path) -> None:
    raw = write(tmp_path, {"features": ENTRY}).read_bytes()
    assert is_safetensors(raw[:9], len(raw)) and not is_safetensors(raw[:8], len(raw))
    assert not is_safetensors(raw[:8] + b"[", len(raw))
    length = 8 + struct.unpack("<Q", raw[:8])[0]
    assert is_safetensors(raw[:9], length) and not is_safetensors(raw[:9], length - 1)
