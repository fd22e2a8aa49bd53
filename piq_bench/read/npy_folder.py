"""Reads an untrusted folder of .npy files; the embedding or matrix and the image ids stay on disk."""

import math
import os
from pathlib import Path

import numpy as np

from piq_bench.errors import BadSubmission, LimitExceeded, Problem, printable, quoted
from piq_bench.limits import MAX_MEMORY_BYTES, MAX_META_BYTES
from piq_bench.read.container import (
    MATRICES,
    MEMBER_NAME,
    OF_MATRIX,
    Container,
    Limits,
    unreadable,
)
from piq_bench.read.litter import is_litter
from piq_bench.read.mapped import map_array, rows_of
from piq_bench.read.npy import read_header, store_array

ON_DISK = ("embedding", "image", *OF_MATRIX)  # arrays that later stages read block by block


def read_npy_folder(path: Path, limits: Limits) -> Container:
    """Read the arrays that the benchmark knows; the container holds them and every problem found.

    Raises:
        BadSubmission: if the folder cannot be read or holds too many files.
        LimitExceeded: if an array does not fit into memory.
    """
    container = Container()
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(path, error) from None
    container.ignore_litter([entry.name for entry in entries if is_litter(entry.name)])
    entries = [entry for entry in entries if not is_litter(entry.name)]
    if len(entries) > limits.max_members:
        problem = f"{len(entries)} files inside, but at most {limits.max_members} are allowed"
        raise BadSubmission(str(path), [Problem("too-many-members", path.name, problem, "one .npy file per array")])
    for entry in entries:
        if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
            found, remedy = "is a link, folder or device", "plain .npy files only"
            container.refuse("not-a-file", printable(entry.name), found, remedy)
        elif entry.name == "meta.json":
            container.names.add("meta")
            _read_meta(Path(entry.path), container)
        elif not MEMBER_NAME.fullmatch(entry.name):
            remedy = "a submission folder holds NAME.npy files and meta.json"
            container.refuse("bad-member", path.name, f"holds {quoted(entry.name)}", remedy)
        else:
            name = entry.name.removesuffix(".npy")
            container.names.add(name)
            if name in limits.max_columns:
                _read_array(Path(entry.path), name, limits, container)
    return container


def _read_meta(path: Path, container: Container) -> None:
    try:
        if path.stat().st_size > MAX_META_BYTES:
            container.refuse("bad-meta", "meta.json", "is larger than 64 KiB", "name, benchmark, distance and the like")
            return
        container.meta = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {printable(error)}"
        container.refuse("bad-meta", "meta.json", problem, "one JSON object as UTF-8 text")


def _read_array(path: Path, name: str, limits: Limits, container: Container) -> None:
    try:
        with path.open("rb") as stream:
            header = read_header(stream, path.stat().st_size, name, limits, container)
        if header is None:
            return
        if header.n_value_bytes == 0:  # an empty file cannot be mapped
            store_array(name, np.zeros(0, dtype=header.dtype), header, container)
            return
        if name not in ("embedding", *MATRICES) and header.n_value_bytes > MAX_MEMORY_BYTES:
            problem = f"has {header.n_value_bytes} bytes, the limit in memory is {MAX_MEMORY_BYTES}"
            remedy = "submit one label per image instead of scores"
            raise LimitExceeded(path.parent.name, [Problem("too-large", name, problem, remedy)])
        flat = map_array(path, header.dtype, math.prod(header.shape), header.n_header_bytes)
    except (OSError, ValueError) as error:
        container.refuse("unreadable", name, printable(error), "check the file and its permissions")
        return
    store_array(name, flat if name in ON_DISK else rows_of(flat, slice(None)), header, container)
