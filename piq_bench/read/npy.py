"""Reads the header of an untrusted .npy file and checks it against the file's size and the limits of the benchmark.

The header is parsed here, not by numpy, which may unpickle: nothing is allocated before the header has passed.
"""

import ast
import math
import warnings
from dataclasses import dataclass
from typing import IO

import numpy as np

from piq_bench.errors import printable, quoted
from piq_bench.read.container import MATRICES, Container, Limits, shape_fault
from piq_bench.read.kinds import N_BYTES, PAGE, POINTER, kind_of
from piq_bench.read.mapped import Array

MAX_HEADER_BYTES = 4096
KINDS = "biufUS"
META_REMEDY = "write meta as a 0-d text array: numpy.array(json.dumps({...}))"


@dataclass(frozen=True)
class Header:
    """What a .npy file declares about its array.

    Attributes:
        dtype, shape: of the array.
        fortran: whether the values are in column-major order.
        n_header_bytes: size of the header itself; the values follow it.
    """

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    fortran: bool
    n_header_bytes: int

    @property
    def n_value_bytes(self) -> int:
        """Size of all values together."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def n_text_bytes(self) -> int:
        """Size of all values in memory, where a byte of text becomes a character of four bytes."""
        return self.n_value_bytes * (4 if self.dtype.kind == "S" else 1)


def read_header(stream: IO[bytes], n_file_bytes: int, name: str, limits: Limits, container: Container) -> Header | None:
    """Read and check the header of one array; None, with a problem in `container`, if the array is refused.

    Args:
        stream: the .npy file, at its start.
        n_file_bytes: size of the file; it must be exactly what the header declares.
        name: of the array.
        limits: what the benchmark allows.
        container: where a problem is recorded.
    """
    try:
        header = _parse_header(stream)
    except _HeaderError as error:
        container.refuse("bad-header", name, printable(error, 200), error.remedy)
        return None
    fault = shape_fault(name, header.dtype, header.shape, limits)
    if fault is not None:
        container.refuse("bad-meta" if name == "meta" else "bad-shape", name, fault, _shape_remedy(name, limits))
        return None
    n_declared = header.n_header_bytes + header.n_value_bytes
    if n_declared > n_file_bytes:
        problem = f"the header declares {n_declared} bytes, but the file has {n_file_bytes}"
        container.refuse("truncated", name, problem, "the file is truncated: write it again")
        return None
    if n_declared < n_file_bytes:
        problem = f"{n_file_bytes - n_declared} bytes follow the values of the array"
        container.refuse("trailing-data", name, problem, "write each array to its own file")
        return None
    return header


class _HeaderError(ValueError):
    """Says what is wrong with a .npy header, and what would be right."""

    def __init__(self, found: str, remedy: str = "write the array with numpy.save or numpy.savez") -> None:
        super().__init__(found)
        self.remedy = remedy


def _parse_header(stream: IO[bytes]) -> Header:
    start = stream.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY":
        kind = kind_of(start + stream.read(N_BYTES - len(start)))
        if kind in (POINTER, PAGE):
            raise _HeaderError(kind.found, kind.remedy)
        raise _HeaderError("is not a .npy file: the magic bytes are missing")
    major = start[6]
    if major not in (1, 2, 3):
        raise _HeaderError(f".npy version {major} is unknown; versions 1, 2 and 3 are read")
    width = 2 if major == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > MAX_HEADER_BYTES:
        raise _HeaderError(f"the header claims {length} bytes, the limit is {MAX_HEADER_BYTES}")
    raw = stream.read(length)
    if len(raw) < length:
        raise _HeaderError("the file ends inside its header")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escape sequences, which would be printed
            value = ast.literal_eval(raw.decode("utf-8" if major == 3 else "latin-1"))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise _HeaderError("the header is not a literal dictionary") from None
    if not isinstance(value, dict) or set(value) != {"descr", "fortran_order", "shape"}:
        raise _HeaderError("the header must have the keys descr, fortran_order and shape")
    descr, fortran, shape = value["descr"], value["fortran_order"], value["shape"]
    if not isinstance(descr, str):
        raise _HeaderError("the dtype is structured; only plain arrays are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about dtype names that numpy has deprecated
            dtype = np.dtype(descr)
    except (TypeError, ValueError, SyntaxError):
        raise _HeaderError(f"unknown dtype {quoted(descr)}") from None
    if dtype.kind == "V" and dtype.itemsize == 2:
        remedy = "convert it first: tensor.float().numpy(), or array.astype(numpy.float32)"
        raise _HeaderError(f"dtype {quoted(descr)}: these are probably bfloat16 numbers, which numpy lacks", remedy)
    if dtype.hasobject or dtype.kind not in KINDS:
        remedy = "write numpy.stack(list(values)) for vectors, values.astype(str) for texts"
        found = f"dtype {quoted(descr)}: Python objects are never loaded; use numbers and text only"
        raise _HeaderError(found, remedy)
    if dtype.kind == "f" and dtype.itemsize > 8:  # longer floats differ from machine to machine
        raise _HeaderError(f"dtype {quoted(descr)}: floats have at most 64 bits")
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
        raise _HeaderError(f"shape {quoted(shape)} is not a tuple of sizes")
    if not isinstance(fortran, bool):
        raise _HeaderError("fortran_order is neither True nor False")
    return Header(dtype, shape, fortran, 8 + width + length)


def _shape_remedy(name: str, limits: Limits) -> str:
    if name == "meta":
        return META_REMEDY
    if name in MATRICES:
        return "expected shape (n_query, n_gallery), float16 or float32"
    if name == "embedding":
        return f"expected shape ({limits.n_rows}, D), float16 or float32"
    return f"expected one row for each of the {limits.n_rows} query and gallery images"


def store_array(name: str, flat: Array, header: Header, container: Container) -> None:
    """Add an array to the container in the shape that its header declares; meta is stored as text.

    Args:
        name: of the array.
        flat: shape (n_values,); the values in file order.
        header: what the file declares, already checked.
        container: where the array, or a problem of meta, is stored.
    """
    values = flat.reshape(header.shape, order="F" if header.fortran else "C")
    if name != "meta":
        container.arrays[name] = values
    elif header.dtype.kind != "U":
        container.refuse("bad-meta", "meta", f"has dtype {header.dtype.str}, which is not text", META_REMEDY)
    elif header.dtype.itemsize and (_code_points(values) > 0x10FFFF).any():  # of which numpy makes a broken text
        container.refuse("bad-meta", "meta", "is not valid text", META_REMEDY)
    else:
        container.meta = str(values[()])


def _code_points(text: Array) -> Array:
    native = text.astype(text.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native).view(np.uint32)
