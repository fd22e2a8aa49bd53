"""Loads a file of torch.save; runs in a process of its own, which `convert.torch_file` starts.

torch's own loader of weights reads it, which knows tensors, texts, numbers and plain containers, and runs nothing.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from piq_bench.convert.exchange import leave
from piq_bench.convert.features import refusal
from piq_bench.convert.torch_index import REMEDY
from piq_bench.errors import lacks_memory, printable
from piq_bench.limits import MAX_MEMORY_BYTES, most_bytes
from piq_bench.read.mapped import Array


def main(request: Mapping[str, str]) -> None:
    """Read a file for the process that started this one.

    Args:
        request: path of the file, and folder to write arrays and a report to.
    """
    leave(Path(request["folder"]), Path(request["path"]), unpack)


def unpack(path: Path) -> dict[str, object]:
    """Arrays and other values by key; a tensor alone has the key "features".

    Raises:
        BadSubmission: if the file holds anything but tensors, texts and numbers, or is damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        found = "holds Python objects besides tensors, texts and numbers; nothing was executed"
        raise refusal(path, "pickle", found, REMEDY) from None
    except Exception as error:  # a stranger's bytes can fail in any way
        if lacks_memory(error):
            raise MemoryError from None
        found = f"cannot be read: {printable(f'{type(error).__name__} {error}'.partition(chr(10))[0], 160)}"
        raise refusal(path, "damaged", found, REMEDY) from None
    if isinstance(content, torch.Tensor):
        content = {"features": content}
    if not isinstance(content, Mapping):
        raise refusal(path, "unclear", f"holds a {type(content).__name__}", REMEDY)
    return {str(key): _plain(path, str(key), value) for key, value in content.items()}


def _plain(path: Path, key: str, value: object) -> object:
    """A dense tensor as an array; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_complex():
        raise refusal(path, "bad-tensor", f"is a tensor of layout {value.layout}", "expected a dense tensor", key)
    most = min(MAX_MEMORY_BYTES, most_bytes(path.stat().st_size))
    if value.numel() * value.element_size() > most:  # a view may repeat its values
        found = f"declares shape {tuple(value.shape)}, more than {most} bytes"
        raise refusal(path, "too-large", found, "save the tensor's own values", key)
    return _array(value)


def _array(tensor: torch.Tensor) -> Array:
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:  # numpy has no such type; float32 holds its values exactly
        tensor = tensor.to(torch.float32)
    return np.ascontiguousarray(tensor.contiguous().numpy())
