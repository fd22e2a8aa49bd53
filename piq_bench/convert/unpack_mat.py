"""Reads a MATLAB file with scipy; runs in a process of its own, which `convert.mat` starts.

It leaves arrays as .npy files and a report with texts and every problem.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.io import loadmat, whosmat

from piq_bench.convert.exchange import leave
from piq_bench.convert.features import MAX_ROWS, refusal
from piq_bench.convert.mat import REMEDY, unpacked_bytes
from piq_bench.errors import BadSubmission, lacks_memory, printable
from piq_bench.limits import MAX_TEXT_WIDTH

MAX_VARIABLES = 200
NOT_READ = ("struct", "object", "opaque", "function", "unknown")


def main(request: Mapping[str, str]) -> None:
    """Read a file for the process that started this one.

    Args:
        request: path of the file, and folder to write arrays and a report to.
    """
    leave(Path(request["folder"]), Path(request["path"]), unpack)


def unpack(path: Path) -> dict[str, object]:
    """Arrays, lists of texts, and None for what is neither, by variable.

    Raises:
        BadSubmission: if the file is damaged or declares more than it holds.
    """
    try:
        declared = whosmat(path)
        read = [name for name, _, kind in declared if kind not in NOT_READ]
        _check_declared(path, declared)
        content = loadmat(path, variable_names=read)
    except (BadSubmission, MemoryError):
        raise
    except Exception as error:  # scipy fails in any way on a stranger's bytes
        if lacks_memory(error):
            raise MemoryError from None
        raise refusal(path, "damaged", f"scipy cannot read it: {printable(error)}", REMEDY) from None
    return {name: _plain(content.get(name)) for name, _, _ in declared}


def _check_declared(path: Path, declared: Sequence[tuple[str, tuple[int, ...], str]]) -> None:
    """Refuse shapes that no file of this size can hold, before scipy makes arrays of them."""
    n_bytes = unpacked_bytes(path)
    if len(declared) > MAX_VARIABLES:
        raise refusal(path, "too-many-members", f"has {len(declared)} variables", f"at most {MAX_VARIABLES}")
    for name, shape, kind in declared:
        n_values = math.prod(map(int, shape))
        if not 0 <= n_values <= (MAX_ROWS if kind == "cell" else n_bytes):  # a number takes a byte or more
            found = f"declares shape {tuple(shape)}, more than the file holds"
            raise refusal(path, "truncated", found, REMEDY, name)


def _plain(value: object) -> object:
    """Numbers as they are, texts as a list, padded ones without their blanks; None for anything else."""
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.kind == "U":
        return [str(text).rstrip(" ") for text in value.ravel().tolist()]
    if value.dtype.kind != "O":
        return value if value.dtype.kind in "biuf" else None
    texts = []
    for cell in value.ravel().tolist():
        text = cell.ravel()[0] if isinstance(cell, np.ndarray) and cell.size == 1 else cell
        if not isinstance(text, str) or len(text) > MAX_TEXT_WIDTH:
            return None  # a cell array of anything else is not read
        texts.append(str(text))
    return texts
