"""A stranger's folder of .npy files to named arrays; the embedding and the ids stay on disk."""

import math
import os
from pathlib import Path

import numpy as np

from piq_bench.errors import BadSubmission, LimitExceeded, Problem, printable, quoted
from piq_bench.read.container import MAX_MEMORY_BYTES, MAX_META_BYTES, MEMBER, Container, Limits, unreadable
from piq_bench.read.mapped import map_array, rows_of
from piq_bench.read.npy import accepted_header, keep

ON_DISK = ("embedding", "image")  # arrays that need never be in memory whole


def read_npy_folder(path: Path, limits: Limits) -> Container:
    """Arrays by name.

    Raises:
        BadSubmission: if the folder cannot be read.
        LimitExceeded: if an array does not fit into memory.
    """
    found, name = Container(), path.name
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(path, error) from None
    if len(entries) > limits.n_members:
        problem = f"{len(entries)} files inside, at most {limits.n_members} are possible"
        raise BadSubmission(str(path), [Problem("too-many-members", name, problem, "one .npy file per array")])
    for entry in entries:
        array = entry.name.removesuffix(".npy")
        if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
            found.refuse("not-a-file", printable(entry.name), "a link, folder or device", "plain .npy files only")
        elif entry.name == "meta.json":
            found.named.add("meta")
            _read_meta(Path(entry.path), found)
        elif not MEMBER.fullmatch(entry.name):
            remedy = "a submission folder holds NAME.npy files and meta.json"
            found.refuse("bad-member", name, f"holds {quoted(entry.name)}", remedy)
        else:
            found.named.add(array)
            if array in limits.n_columns:
                _read_file(Path(entry.path), array, limits, found)
    return found


def _read_meta(path: Path, found: Container) -> None:
    try:
        if path.stat().st_size > MAX_META_BYTES:
            found.refuse("bad-meta", "meta.json", "is larger than 64 KiB", "name, benchmark, distance and the like")
            return
        found.meta = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found.refuse("bad-meta", "meta.json", f"cannot be read: {printable(error)}", "UTF-8 text, one JSON object")


def _read_file(path: Path, array: str, limits: Limits, found: Container) -> None:
    try:
        with path.open("rb") as stream:
            header = accepted_header(stream, path.stat().st_size, array, limits, found)
        if header is None:
            return
        if header.n_content == 0:
            keep(array, np.zeros(0, dtype=header.dtype), header, found)
            return
        if array != "embedding" and header.n_content > MAX_MEMORY_BYTES:
            problem = f"{header.n_content} bytes, the limit in memory is {MAX_MEMORY_BYTES}"
            raise LimitExceeded(path.parent.name, [Problem("too-large", array, problem, "labels instead of scores")])
        flat = map_array(path, header.dtype, math.prod(header.shape), header.n_bytes)
    except (OSError, ValueError) as error:
        found.refuse("unreadable", array, printable(error), "check the file and its permissions")
        return
    keep(array, flat if array in ON_DISK else rows_of(flat, slice(None)), header, found)
