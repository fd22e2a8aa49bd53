"""Reads features that numpy wrote: a .npy matrix, a .npz archive, a submission's folder, or one .npy file per image."""

import math
import os
from pathlib import Path

import numpy as np

from piq_bench.convert.features import FEATURE_KEYS, MAX_DIMENSION, MAX_ROWS, NAME_KEYS, Features, refusal
from piq_bench.errors import BadSubmission, Problem, first_few, printable
from piq_bench.read.container import Container, Limits, unreadable
from piq_bench.read.litter import is_litter
from piq_bench.read.mapped import Array, map_array, rows_of
from piq_bench.read.npy import read_header, store_array
from piq_bench.read.npy_folder import read_npy_folder
from piq_bench.read.npz import read_npz

# No limit on rows but the file itself: it may hold the training images too.
LIMITS = Limits(
    MAX_ROWS, dict.fromkeys(FEATURE_KEYS, MAX_DIMENSION) | dict.fromkeys(NAME_KEYS, MAX_DIMENSION) | {"meta": 0}
)


def read_npy(path: Path, name: str) -> Array:
    """The array of a .npy file, still on disk.

    Args:
        path: the file.
        name: what the array is, "image" or "embedding"; it decides the limits.
    """
    container = Container()
    values = _read_into(container, path, name)
    if values is None:
        raise BadSubmission(str(path), container.problems)
    return values


def read_archive(path: Path) -> dict[str, object]:
    """The arrays of a .npz file or of a submission's folder that have usual names; None for the others."""
    container = read_npy_folder(path, LIMITS) if path.is_dir() else read_npz(path, LIMITS)
    refused = [problem for problem in container.problems if problem.code not in ("bad-member", "not-a-file")]
    if refused:
        raise BadSubmission(str(path), refused)
    unread = dict.fromkeys(sorted(container.names - container.arrays.keys()))
    return {**container.arrays, **unread, **({"meta": container.meta} if container.meta is not None else {})}


def read_image_folder(path: Path) -> Features:
    """Read a folder of one .npy file per image, named by the image's base name up to its first dot (fast-reid).

    Raises:
        BadSubmission: with every file that cannot be read or whose vector differs in size from the first, or if files
            are links, which may lead to any file of this machine.
    """
    try:
        with os.scandir(path) as entries:
            named = [entry for entry in entries if entry.name.endswith(".npy") and not is_litter(entry.name)]
        found = [entry for entry in named if entry.is_symlink() or entry.is_file()]
    except OSError as error:
        raise unreadable(path, error) from None
    links = sorted(entry.name for entry in found if entry.is_symlink())
    if links:
        told = f"holds {len(links)} {'links' if len(links) > 1 else 'link'}: {first_few(links, len(links))}"
        remedy = "copy the files that the links lead to, for example by `cp -rL`, if you trust them"
        raise refusal(path, "link", told, remedy)
    files = sorted(entry.name for entry in found)
    if not files:
        remedy = "expected one .npy file for each image, or the arrays of a submission"
        raise refusal(path, "no-features", "holds no .npy files", remedy)
    container = Container()
    rows: list[Array] = []
    wrong: list[str] = []
    for file in files:
        values = _read_into(container, path / file, "embedding")
        if values is None:
            continue
        if values.dtype.kind not in "fiu" or values.size != max(values.shape):
            wrong.append(f"{file}: dtype {values.dtype.str}, shape {values.shape}")
        elif rows and values.size != rows[0].size:
            wrong.append(f"{file}: {values.size} values, the first has {rows[0].size}")
        else:
            rows.append(rows_of(values, slice(None)).ravel())  # a copy: the file is closed
    if wrong:
        fault = f"no vectors of one size: {first_few(wrong, len(wrong))}"
        container.refuse("bad-shape", path.resolve().name, fault, "expected shape (1, D) or (D,)", len(wrong))
    if container.problems:
        raise BadSubmission(str(path), container.problems)
    return Features(np.stack(rows), [file.partition(".")[0] for file in files], stems=True)


def _read_into(container: Container, path: Path, name: str) -> Array | None:
    """One array, mapped; None, with a problem that names the file, if it is refused."""
    own = Container()
    try:
        with path.open("rb") as stream:
            header = read_header(stream, path.stat().st_size, name, LIMITS, own)
        if header is not None:
            flat = np.zeros(0, dtype=header.dtype)
            if header.n_value_bytes:
                flat = map_array(path, header.dtype, math.prod(header.shape), header.n_header_bytes)
            store_array(name, flat, header, own)
    except (OSError, ValueError) as error:
        own.refuse("unreadable", name, printable(error), "check the file and its permissions")
    container.problems += [Problem(p.code, printable(path.name), p.found, p.remedy, p.count) for p in own.problems]
    return own.arrays.get(name)
