"""A stranger's .npz file to named arrays: the zip directory first, then each header, then no more than was declared."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from piq_bench.errors import BadSubmission, LimitExceeded, Problem, printable, quoted
from piq_bench.read.container import MAX_MEMORY_BYTES, MEMBER, Container, Limits
from piq_bench.read.npy import accepted_header, keep

PIECE_BYTES = 1 << 20
# No zip directory of a submission is longer; zipfile would take one of gigabytes into memory to count its entries.
MAX_READ_BYTES = PIECE_BYTES
UNPACKED_FREELY_BYTES = 64 << 20
MAX_RATIO = 200  # above that size; deflate ends at 1032, embeddings of any model are far below 200
# What zipfile raises on damaged files, besides its own error.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)


def read_npz(path: Path, limits: Limits) -> Container:
    """Arrays by name.

    Raises:
        BadSubmission: if it is no zip archive.
        LimitExceeded: if an array does not fit into memory.
    """
    found = Container()
    try:
        with BoundedReader(path) as stream, zipfile.ZipFile(stream) as archive:
            for member in _members(archive.infolist(), found, path, limits):
                array = member.filename.removesuffix(".npy")
                if array in limits.n_columns:
                    _read_member(archive, member, array, limits, found, path)
    except ZIP_ERRORS as error:
        remedy = "the file is truncated or damaged: write it again with numpy.savez_compressed"
        raise BadSubmission(str(path), [Problem("not-an-archive", path.name, printable(error), remedy)]) from None
    return found


class BoundedReader(io.BufferedReader):
    """A file that hands out only as much at once as a well-meant archive asks for."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file, up to the limit."""
        wanted = MAX_READ_BYTES + 1 if size is None or size < 0 else size
        content = super().read(min(wanted, MAX_READ_BYTES + 1))
        if len(content) > MAX_READ_BYTES:
            raise zipfile.BadZipFile(f"its directory is longer than {MAX_READ_BYTES} bytes")
        return content


def _members(members: list[zipfile.ZipInfo], found: Container, path: Path, limits: Limits) -> list[zipfile.ZipInfo]:
    """The members that may be read; problems for all others."""
    if len(members) > limits.n_members:
        problem = f"{len(members)} files inside, at most {limits.n_members} are possible"
        raise BadSubmission(str(path), [Problem("too-many-members", path.name, problem, "one NAME.npy for each array")])
    kept: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        array = member.filename.removesuffix(".npy")
        if not MEMBER.fullmatch(member.filename):
            remedy = "a submission holds NAME.npy files at its top level and nothing else"
            found.refuse("bad-member", path.name, f"holds {quoted(member.filename)}", remedy)
            continue
        found.named.add(array)
        if member.filename in kept:
            found.refuse("duplicate-member", array, "is in the archive twice", "write each array once")
        elif member.flag_bits & 1:
            found.refuse("encrypted-member", array, "is encrypted", "write it without a password")
        elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            found.refuse("bad-compression", array, f"compression method {member.compress_type}", "store or deflate")
        else:
            kept[member.filename] = member
    return list(kept.values())


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, array: str, limits: Limits, found: Container, path: Path
) -> None:
    try:
        with archive.open(member) as stream:
            header = accepted_header(stream, member.file_size, array, limits, found)
            if header is None:
                return
            if header.n_content > MAX_MEMORY_BYTES:
                problem = f"{header.n_content} bytes, the limit in memory is {MAX_MEMORY_BYTES}"
                remedy = "pass a folder: its embedding.npy is read from disk"
                raise LimitExceeded(str(path), [Problem("too-large", array, problem, remedy)])
            if header.n_content > max(UNPACKED_FREELY_BYTES, MAX_RATIO * member.compress_size):
                problem = f"{member.compress_size} bytes unpack to {header.n_content}"
                remedy = "an array that says next to nothing; if it is meant so, pass a folder, which is not packed"
                found.refuse("zip-bomb", array, problem, remedy)
                return
            content = _exactly(stream, header.n_content)
    except ZIP_ERRORS as error:
        found.refuse("damaged", array, f"cannot be unpacked: {printable(error)}", "write the file again")
        return
    keep(array, np.frombuffer(content, dtype=header.dtype), header, found)


def _exactly(stream: IO[bytes], n_bytes: int) -> bytearray:
    """Read so many bytes and no more.

    Raises:
        EOFError: if the stream ends before.
    """
    content = bytearray()
    while len(content) < n_bytes:
        piece = stream.read(min(PIECE_BYTES, n_bytes - len(content)))
        if not piece:
            raise EOFError(f"{len(content)} of {n_bytes} bytes")
        content += piece
    if stream.read(1):
        raise EOFError("more content than declared")
    return content
