"""Reads a file of torch.save: a tensor, or a dictionary of tensors and lists of names. Nothing in it is executed.

Only torch's zip archives are read, whose records are not packed: their size bounds what they hold.
"""

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from piq_bench.convert.features import refusal
from piq_bench.errors import BadUsage, Problem, printable
from piq_bench.limits import MAX_MEMORY_BYTES
from piq_bench.read.mapped import Array

if TYPE_CHECKING:
    import torch

MAX_PICKLE_BYTES = 256 << 20
REMEDY = "save a dictionary of tensors and lists of texts: torch.save({'features': ..., 'names': [...]}, path)"


def is_torch(members: Sequence[str]) -> bool:
    """Whether a zip archive with these members was written by torch.save."""
    return any(name.endswith("/data.pkl") for name in members)


def read_torch(path: Path) -> dict[str, object]:
    """Arrays and lists by key; a tensor alone has the key "features".

    Raises:
        BadUsage: if torch is not installed.
        BadSubmission: if the file holds anything but tensors, texts and numbers, or is damaged.
    """
    try:
        import torch
    except ImportError:
        found = "reading files of torch.save takes torch, which is not installed"
        problem = Problem("no-torch", path.name, found, "pip install torch; or save features as .npy")
        raise BadUsage(str(path), [problem]) from None
    _check_records(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        found = "holds Python objects besides tensors, texts and numbers; nothing was executed"
        raise refusal(path, "pickle", found, REMEDY) from None
    except Exception as error:  # a stranger's bytes can fail in any way
        found = f"cannot be read: {printable(f'{type(error).__name__} {error}'.partition(chr(10))[0], 160)}"
        raise refusal(path, "damaged", found, REMEDY) from None
    if isinstance(content, torch.Tensor):
        content = {"features": content}
    if not isinstance(content, Mapping):
        raise refusal(path, "unclear", f"holds a {type(content).__name__}", REMEDY)
    return {str(key): _plain(path, str(key), value) for key, value in content.items()}


def _check_records(path: Path) -> None:
    """Refuse archives that could unpack to more than their own size."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise refusal(path, "damaged", f"is no complete archive: {printable(error)}", REMEDY) from None
    packed = [record.filename for record in records if record.compress_type != zipfile.ZIP_STORED]
    if packed:
        found = f"{len(packed)} of its records are packed, which torch.save never does"
        raise refusal(path, "packed", found, REMEDY)
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise refusal(path, "truncated", "declares more bytes than it has", "write the file again")
    if any(record.filename.endswith("/data.pkl") and record.file_size > MAX_PICKLE_BYTES for record in records):
        raise refusal(path, "too-large", f"its index has more than {MAX_PICKLE_BYTES} bytes", REMEDY)


def _plain(path: Path, key: str, value: object) -> object:
    """A dense tensor as an array; anything else as it is."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_complex():
        raise refusal(path, "bad-tensor", f"is a tensor of layout {value.layout}", "expected a dense tensor", key)
    if value.numel() * value.element_size() > MAX_MEMORY_BYTES:  # a view may repeat its values
        found = f"declares shape {tuple(value.shape)}, more than {MAX_MEMORY_BYTES} bytes"
        raise refusal(path, "too-large", found, "save the tensor's own values", key)
    return _array(value)


def _array(tensor: "torch.Tensor") -> Array:
    import torch

    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:  # numpy has no such type; float32 holds its values exactly
        tensor = tensor.to(torch.float32)
    return np.ascontiguousarray(tensor.contiguous().numpy())
