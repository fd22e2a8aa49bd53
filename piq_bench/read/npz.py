"""Reads an untrusted .npz file: the zip directory first, then each header, then exactly the bytes it declares."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadSubmission, LimitExceeded, Problem, printable, quoted
from piq_bench.limits import MAX_MEMORY_BYTES, most_bytes
from piq_bench.read.container import MEMBER_NAME, Container, Limits
from piq_bench.read.kinds import PYTORCH, is_checkpoint_member
from piq_bench.read.litter import is_litter
from piq_bench.read.npy import read_header, store_array

PIECE_BYTES = 1 << 20
# The zip directory of a submission is far shorter. Without this limit zipfile would read one of gigabytes into memory.
MAX_READ_BYTES = PIECE_BYTES
# What zipfile raises on damaged files, besides its own error.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)


def read_npz(path: Path, limits: Limits) -> Container:
    """Read the arrays that the benchmark knows; the container holds them and every problem found.

    Raises:
        BadSubmission: if the file is not a zip archive or holds too many files.
        LimitExceeded: if an array does not fit into memory.
    """
    container = Container()
    try:
        with BoundedReader(path) as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if any(is_checkpoint_member(member.filename) for member in members):
                found, remedy = PYTORCH.found, PYTORCH.remedy_for(path.name)
                raise BadSubmission(str(path), [Problem("not-an-archive", path.name, found, remedy)])
            for member in _accepted_members(members, path, limits, container):
                name = member.filename.removesuffix(".npy")
                if name in limits.max_columns:
                    _read_member(archive, member, name, path, limits, container)
    except ZIP_ERRORS as error:
        remedy = "the file is truncated or damaged: write it again with numpy.savez_compressed"
        raise BadSubmission(str(path), [Problem("not-an-archive", path.name, printable(error), remedy)]) from None
    return container


class BoundedReader(io.BufferedReader):
    """A file that refuses reads larger than any that a genuine archive needs."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any file, but raise BadZipFile above MAX_READ_BYTES."""
        wanted = MAX_READ_BYTES + 1 if size is None or size < 0 else size
        content = super().read(min(wanted, MAX_READ_BYTES + 1))
        if len(content) > MAX_READ_BYTES:
            raise zipfile.BadZipFile(f"its directory is longer than {MAX_READ_BYTES} bytes")
        return content


def _accepted_members(
    members: list[zipfile.ZipInfo], path: Path, limits: Limits, container: Container
) -> list[zipfile.ZipInfo]:
    """The members that may be read; the others become problems."""
    litter = [member.filename for member in members if any(map(is_litter, member.filename.split("/")))]
    container.ignore_litter(litter)
    ignored = {*litter}
    members = [member for member in members if member.filename not in ignored]
    if len(members) > limits.max_members:
        problem = f"{len(members)} files inside, but at most {limits.max_members} are allowed"
        raise BadSubmission(str(path), [Problem("too-many-members", path.name, problem, "one NAME.npy for each array")])
    accepted: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        if not MEMBER_NAME.fullmatch(member.filename):
            remedy = "a submission holds NAME.npy files at its top level and nothing else"
            container.refuse("bad-member", path.name, f"holds {quoted(member.filename)}", remedy)
            continue
        container.names.add(name)
        if member.filename in accepted:
            container.refuse("duplicate-member", name, "is in the archive twice", "write each array once")
        elif member.flag_bits & 1:
            container.refuse("encrypted-member", name, "is encrypted", "write it without a password")
        elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problem = f"has compression method {member.compress_type}, which is not read"
            remedy = "write it with numpy.savez or numpy.savez_compressed"
            container.refuse("bad-compression", name, problem, remedy)
        else:
            accepted[member.filename] = member
    return list(accepted.values())


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, path: Path, limits: Limits, container: Container
) -> None:
    try:
        with archive.open(member) as stream:
            header = read_header(stream, member.file_size, name, limits, container)
            if header is None:
                return
            if header.n_value_bytes > MAX_MEMORY_BYTES:
                problem = f"has {header.n_value_bytes} bytes, the limit in memory is {MAX_MEMORY_BYTES}"
                remedy = f"pass a folder: its {name}.npy is read from disk"
                raise LimitExceeded(str(path), [Problem("too-large", name, problem, remedy)])
            if header.n_text_bytes > most_bytes(member.compress_size):
                problem = f"{member.compress_size} bytes unpack to {header.n_text_bytes}, as in a zip bomb"
                remedy = "check that the values are not all the same; if they are meant so, pass a folder"
                container.refuse("zip-bomb", name, problem, remedy)
                return
            content = _read_exactly(stream, header.n_value_bytes)
    except ZIP_ERRORS as error:
        container.refuse("damaged", name, f"cannot be unpacked: {printable(error)}", "write the file again")
        return
    store_array(name, np.frombuffer(content, dtype=header.dtype), header, container)


def _read_exactly(stream: IO[bytes], n_bytes: int) -> NDArray[np.uint8]:
    """Read `n_bytes`, which must be all that is left.

    Raises:
        EOFError: if the stream holds fewer or more bytes.
    """
    content, n_read = np.empty(n_bytes, np.uint8), 0  # takes no memory until it is written
    while n_read < n_bytes:
        piece = stream.read(min(PIECE_BYTES, n_bytes - n_read))
        if not piece:
            raise EOFError(f"only {n_read} of {n_bytes} bytes are there")
        content[n_read : n_read + len(piece)] = np.frombuffer(piece, np.uint8)
        n_read += len(piece)
    if stream.read(1):
        raise EOFError("holds more bytes than declared")
    return content
