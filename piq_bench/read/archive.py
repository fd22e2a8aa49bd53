"""Containers from strangers to named arrays: .npz, a folder of .npy files, or .parquet, header and directory first.

Nothing is unpickled, no header is believed: what a file declares is compared with its size and with what the benchmark
allows before a byte of content is read, and no more bytes are read than were declared.
"""

import ast
import io
import math
import os
import re
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from piq_bench.errors import BadSubmission, LimitExceeded, Problem, first_few, printable, quoted
from piq_bench.read.mapped import Array, map_array, rows_of

MAX_FILE_BYTES = 32 << 30
MAX_MEMORY_BYTES = 8 << 30  # of one array that must be held in memory; a folder's embedding need not
ON_DISK = ("embedding", "image")  # arrays of a folder that need never be in memory whole
MAX_STRAY_MEMBERS = 16  # besides the arrays that the benchmark knows; they are named in the report
MAX_HEADER_BYTES = 4096
MAX_META_BYTES = 64 << 10
MAX_TEXT_WIDTH = 1024  # characters of one image id or label
PIECE_BYTES = 1 << 20
# No zip directory of a submission is longer; zipfile would take one of gigabytes into memory to count its entries.
MAX_READ_BYTES = PIECE_BYTES
UNPACKED_FREELY_BYTES = 64 << 20
MAX_RATIO = 200  # above that size; deflate ends at 1032, embeddings of any model are far below 200
KINDS = "biufUS"
MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\.npy")
# What zipfile raises on damaged files, besides its own error.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)


@dataclass
class Limits:
    """What a benchmark allows: rows of a submission, and columns by array name."""

    n_rows: int
    n_columns: Mapping[str, int]

    @property
    def n_members(self) -> int:
        """Files or columns that a container may hold."""
        return len(self.n_columns) + MAX_STRAY_MEMBERS


@dataclass
class Container:
    """What was found: arrays by name, the text of meta, and every problem on the way."""

    arrays: dict[str, Array] = field(default_factory=dict)
    meta: str | None = None
    problems: list[Problem] = field(default_factory=list)
    named: set[str] = field(default_factory=set)

    def refuse(self, code: str, where: str, found: str, remedy: str, count: int = 1) -> None:
        """Note a problem and go on."""
        self.problems.append(Problem(code, where, found, remedy, count))


@dataclass(frozen=True)
class Header:
    """What a .npy file declares."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran: bool
    n_bytes: int  # of the header itself

    @property
    def n_content(self) -> int:
        """Bytes of content that it promises."""
        return math.prod(self.shape) * self.dtype.itemsize


class HeaderError(ValueError):
    """A .npy header that is not one."""


def open_container(path: Path, limits: Limits) -> Container:
    """Read what is there, whatever its form.

    Raises:
        BadSubmission: if the container itself cannot be opened.
        LimitExceeded: if it asks for more memory than is allowed.
    """
    try:
        return _open(path, limits)
    except MemoryError:
        problem = Problem(
            "too-large", path.name, "does not fit into memory", "pass a folder: its embedding stays on disk"
        )
        raise LimitExceeded(str(path), [problem]) from None


def _open(path: Path, limits: Limits) -> Container:
    name = path.name
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: NUL in a path
        raise _unreadable(path, error) from None
    if stat.S_ISDIR(mode):
        return _folder(path, limits)
    if not stat.S_ISREG(mode):
        raise BadSubmission(str(path), [Problem("not-a-file", name, "neither a file nor a folder", "name a .npz file")])
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        found = f"{size} bytes, the limit is {MAX_FILE_BYTES}"
        raise BadSubmission(str(path), [Problem("file-too-large", name, found, "store the embedding as float16")])
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise _unreadable(path, error) from None
    if magic == b"PAR1":
        from piq_bench.read.parquet import read_parquet

        return read_parquet(path, limits)
    if magic[:2] != b"PK":
        found = "empty" if size == 0 else f"starts with {magic!r}: no zip archive"
        remedy = "write it with numpy.savez_compressed, or pass a folder or a .parquet file"
        raise BadSubmission(str(path), [Problem("not-an-archive", name, found, remedy)])
    return _npz(path, limits)


def read_header(stream: IO[bytes]) -> Header:
    """Parse a .npy header without trusting it.

    Raises:
        HeaderError: saying what is wrong.
    """
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY":
        raise HeaderError("no .npy file: the magic bytes are missing")
    major = start[6]
    if major not in (1, 2, 3):
        raise HeaderError(f".npy version {major}, known are 1, 2 and 3")
    width = 2 if major == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > MAX_HEADER_BYTES:
        raise HeaderError(f"the header claims {length} bytes, the limit is {MAX_HEADER_BYTES}")
    raw = stream.read(length)
    if len(raw) < length:
        raise HeaderError("the file ends inside its header")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes, which would be printed
            value = ast.literal_eval(raw.decode("utf-8" if major == 3 else "latin-1"))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise HeaderError("the header is no literal dictionary") from None
    if not isinstance(value, dict) or set(value) != {"descr", "fortran_order", "shape"}:
        raise HeaderError("the header must hold descr, fortran_order and shape")
    descr, fortran, shape = value["descr"], value["fortran_order"], value["shape"]
    if not isinstance(descr, str):
        raise HeaderError("a structured dtype; plain arrays only")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that numpy is about to drop
            dtype = np.dtype(descr)
    except (TypeError, ValueError, SyntaxError):
        raise HeaderError(f"unknown dtype {quoted(descr)}") from None
    if dtype.hasobject or dtype.kind not in KINDS:
        raise HeaderError(f"dtype {quoted(descr)}: Python objects are never loaded; numbers and text only")
    if dtype.kind == "f" and dtype.itemsize > 8:  # its values differ from machine to machine
        raise HeaderError(f"dtype {quoted(descr)}: floats of at most 64 bits")
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
        raise HeaderError(f"shape {quoted(shape)} is no tuple of sizes")
    if not isinstance(fortran, bool):
        raise HeaderError("fortran_order is neither True nor False")
    return Header(dtype, shape, fortran, 8 + width + length)


def check_declared(name: str, dtype: np.dtype[np.generic], shape: tuple[int, ...], limits: Limits) -> str | None:
    """Why an array of this kind is too large to be read for this benchmark, or None."""
    if name == "meta":
        return None if shape == () and dtype.itemsize <= MAX_META_BYTES * 4 else "meta is one text of at most 64 KiB"
    if len(shape) not in (1, 2):
        return f"shape {shape}: one or two dimensions are possible"
    if shape[0] > 2 * limits.n_rows + 1000:
        return f"{shape[0]} rows, the benchmark has {limits.n_rows} query and gallery images"
    if len(shape) == 2 and shape[1] > limits.n_columns.get(name, 0):
        return f"{shape[1]} columns, at most {limits.n_columns.get(name, 0)} are possible"
    if dtype.kind in "US" and dtype.itemsize > MAX_TEXT_WIDTH * (4 if dtype.kind == "U" else 1):
        return f"dtype {dtype.str}: texts of at most {MAX_TEXT_WIDTH} characters are possible"
    return None


def _npz(path: Path, limits: Limits) -> Container:
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
            header = _accepted_header(stream, member.file_size, array, limits, found)
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
    _keep(array, np.frombuffer(content, dtype=header.dtype), header, found)


def _accepted_header(stream: IO[bytes], n_bytes: int, array: str, limits: Limits, found: Container) -> Header | None:
    """The header, if it is one, keeps its promise about the size, and asks for no more than is allowed."""
    try:
        header = read_header(stream)
    except HeaderError as error:
        found.refuse("bad-header", array, printable(error, 200), "write the array with numpy.save or numpy.savez")
        return None
    excess = check_declared(array, header.dtype, header.shape, limits)
    if excess is not None:
        code = "bad-meta" if array == "meta" else "bad-shape"
        found.refuse(code, array, excess, _shape_remedy(array, limits))
        return None
    promised = header.n_bytes + header.n_content
    if promised > n_bytes:
        problem = f"the header promises {promised} bytes, the file holds {n_bytes}"
        found.refuse("truncated", array, problem, "the file is truncated: write it again")
        return None
    if promised < n_bytes:
        problem = f"{n_bytes - promised} bytes follow the array's content"
        found.refuse("trailing-data", array, problem, "write each array to its own file")
        return None
    return header


def _shape_remedy(array: str, limits: Limits) -> str:
    if array == "meta":
        return "meta is a 0-d text: numpy.array(json.dumps({...}))"
    if array == "embedding":
        return f"expected shape ({limits.n_rows}, D), float16 or float32"
    return f"one row for each of the {limits.n_rows} query and gallery images"


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


def _keep(array: str, flat: Array, header: Header, found: Container) -> None:
    values = flat.reshape(header.shape, order="F" if header.fortran else "C")
    if array != "meta":
        found.arrays[array] = values
        return
    if header.dtype.kind == "U":
        found.meta = _text(values, found)
    else:
        found.refuse("bad-meta", "meta", f"dtype {header.dtype.str}", "meta is a text: numpy.array(json.dumps({...}))")


def _text(values: Array, found: Container) -> str | None:
    try:
        return str(values[()])
    except ValueError:  # code points that are none
        found.refuse("bad-meta", "meta", "is no valid text", "meta is a text: numpy.array(json.dumps({...}))")
        return None


def _folder(path: Path, limits: Limits) -> Container:
    found, name = Container(), path.name
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(path, error) from None
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
            header = _accepted_header(stream, path.stat().st_size, array, limits, found)
        if header is None:
            return
        if header.n_content == 0:
            _keep(array, np.zeros(0, dtype=header.dtype), header, found)
            return
        if array != "embedding" and header.n_content > MAX_MEMORY_BYTES:
            problem = f"{header.n_content} bytes, the limit in memory is {MAX_MEMORY_BYTES}"
            raise LimitExceeded(path.parent.name, [Problem("too-large", array, problem, "labels instead of scores")])
        flat = map_array(path, header.dtype, math.prod(header.shape), header.n_bytes)
    except (OSError, ValueError) as error:
        found.refuse("unreadable", array, printable(error), "check the file and its permissions")
        return
    _keep(array, flat if array in ON_DISK else rows_of(flat, slice(None)), header, found)


def _unreadable(path: Path, error: OSError | ValueError) -> BadSubmission:
    missing = isinstance(error, FileNotFoundError)
    words = error.strerror if isinstance(error, OSError) else str(error)
    found = "no such file or folder" if missing else printable(words)
    return BadSubmission(str(path), [Problem("unreadable", path.name, found, "check the path and its permissions")])


def unknown_arrays(found: Container, known: Mapping[str, int]) -> list[str]:
    """Names in the container that the benchmark has no use for."""
    return sorted(found.named - set(known))


def list_names(names: list[str]) -> str:
    """For a message."""
    return first_few(names, len(names))
