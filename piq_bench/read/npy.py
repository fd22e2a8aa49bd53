"""One .npy file of a stranger: its header is parsed without trust, and compared with the file's size and the limits."""

import ast
import math
import warnings
from dataclasses import dataclass
from typing import IO

import numpy as np

from piq_bench.errors import printable, quoted
from piq_bench.read.container import Container, Limits, check_declared
from piq_bench.read.mapped import Array

MAX_HEADER_BYTES = 4096
KINDS = "biufUS"


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


def accepted_header(stream: IO[bytes], n_bytes: int, array: str, limits: Limits, found: Container) -> Header | None:
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


def keep(array: str, flat: Array, header: Header, found: Container) -> None:
    """Add an array to the container in the shape that its header says; meta as text."""
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
