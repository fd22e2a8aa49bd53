"""Loads variables of an untrusted MATLAB file (.mat) after checking every size that the file declares.

Read are files of version 5 to 7; version 7.3 is HDF5 and is refused. scipy reserves memory for the shapes that a file
declares before it reads their content, and unpacks and recurses without limits, so all of that is checked first.
Format: MAT-File Format, The MathWorks.
"""

import io
import math
import struct
import warnings
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np

from piq_bench.errors import BadDataset, LimitExceeded, Problem, first_few, printable, quoted
from piq_bench.read.kinds import N_BYTES, kind_of
from piq_bench.read.validate import MAX_NAME
from piq_bench.records import IntArray

MAX_BYTES = 256 << 20
MAX_UNPACKED = 512 << 20
MAX_ARRAYS = 2_000_000  # each cell and each field of a structure is an array of its own
MAX_DEPTH = 16
PEEK_BYTES = 4096  # unpacked to see the name of a variable
HEADER_BYTES = 128
HDF5_MARK = b"\x89HDF\r\n\x1a\n"

MATRIX, COMPRESSED = 14, 15
INT8, INT32, UINT32 = 1, 5, 6
ITEM_BYTES = {INT8: 1, 2: 1, 3: 2, 4: 2, INT32: 4, UINT32: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # by type of stored numbers
TEXT_TYPES = (INT8, 2, 4, 16, 17, 18)
CELL, STRUCT, CHAR, NUMERIC = 1, 2, 4, range(6, 16)  # classes of arrays
COMPLEX = 0x800
COMPLETE = "a complete file: download or copy it again"
SAVE_AGAIN = "save it in MATLAB with -v7: save('FILE.mat', 'VARIABLE', '-v7')"


@dataclass(frozen=True, eq=False)
class MatFile:
    """The variables of a file, with structures as dicts, cells and numbers as arrays, and all axes of length 1 dropped.

    Attributes:
        path: the file.
        variables: values by name.
    """

    path: Path
    variables: Mapping[str, Any]

    def refuse(self, where: str, found: str, remedy: str, code: str = "matlab-content") -> NoReturn:
        """Refuse the file for one problem.

        Raises:
            BadDataset: always.
        """
        raise BadDataset(str(self.path), [Problem(code, f"{self.path.name}: {printable(where)}", found, remedy)])

    def fields(self, value: object, where: str, expected: Collection[str] = ()) -> dict[str, Any]:
        """The fields of a structure by name, in the order of the file.

        Raises:
            BadDataset: if the value is no structure or lacks an expected field.
        """
        if not isinstance(value, dict):
            self.refuse(where, f"is {_kind(value)}", "expected a structure with fields")
        missing = [name for name in expected if name not in value]
        if missing:
            found = f"has no field {first_few(missing, len(missing))}; it has {first_few(value, len(value), 8)}"
            self.refuse(where, found, "expected the file as its authors give it out")
        return value

    def items(self, value: object, where: str) -> Sequence[Any]:
        """The items of a list of cells or structures, of which a single one has lost its axis."""
        if isinstance(value, dict | str):
            return [value]
        is_list = isinstance(value, list) or (
            isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1
        )
        if not is_list:
            self.refuse(where, f"is {_kind(value)}", "expected a list of cells")
        return cast("Sequence[Any]", value)

    def texts(self, value: object, where: str) -> list[str]:
        """The texts of a list of cells.

        Raises:
            BadDataset: if the value is no list of cells, or a cell is no text or a very long one.
        """
        if isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.ndim == 1:
            value = value.astype(object)
        cells = self.items(value, where)
        wrong = [row for row, cell in enumerate(cells) if not isinstance(cell, str) or not 0 < len(cell) <= MAX_NAME]
        if wrong:
            found = f"cell {wrong[0] + 1} is no text: {quoted(repr(cells[wrong[0]]))}"
            self.refuse(where, found, f"expected texts of 1 to {MAX_NAME} characters")
        return [str(cell) for cell in cells]

    def numbers(self, value: object, where: str, shape: tuple[int, ...] | None = None) -> IntArray:
        """Whole numbers of a given shape; without one, a list.

        Raises:
            BadDataset: if the value has another shape or other content.
        """
        array = np.asarray(value) if not isinstance(value, dict | list | str) else np.array(None)
        if array.dtype.kind not in "biuf":
            self.refuse(where, f"is {_kind(value)}", "expected numbers")
        size = array.size if shape is None else math.prod(shape)
        wanted = (size,) if shape is None else shape
        if array.size != size or array.squeeze().shape != tuple(length for length in wanted if length != 1):
            expected = " x ".join(map(str, wanted))
            self.refuse(where, f"has the shape {' x '.join(map(str, array.shape))}", f"expected {expected}")
        whole = array.reshape(wanted)
        if whole.dtype.kind == "f" and not (np.isfinite(whole) & (np.abs(whole) < 2**53) & (whole % 1 == 0)).all():
            self.refuse(where, "has values that are no whole numbers", "expected whole numbers")
        return whole.astype(np.int64)


def load_mat(path: Path, names: Collection[str]) -> MatFile:
    """Load some variables of a .mat file.

    Args:
        path: the file.
        names: the variables; all must be in the file, others are not read.

    Raises:
        BadDataset: if the file is damaged, of another format or lacks a variable.
        LimitExceeded: if it is too large, packed or unpacked.
    """
    content = _content(path)
    order = _byte_order(path, content)
    checker = _Checker(path, order, names)
    try:
        checker.check_file(memoryview(content))
    except struct.error:
        checker.refuse("ends too early", COMPLETE)
    missing = sorted(set(names) - checker.found.keys())
    if missing:
        found = (
            f"has no variable {first_few(missing, len(missing))}; it has {first_few(checker.seen, len(checker.seen))}"
        )
        raise BadDataset(
            str(path), [Problem("missing-variable", path.name, found, "expected the file as its authors give it out")]
        )
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        stream: Any = io.BytesIO(content)  # the stubs know paths only
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that occur twice
            loaded = loadmat(stream, variable_names=sorted(names), simplify_cells=True)
    except (MatReadError, ValueError, TypeError, KeyError, IndexError, EOFError, OSError, NotImplementedError) as error:
        checker.refuse(f"cannot be read: {printable(error)}", COMPLETE)
    if not set(names) <= loaded.keys():
        checker.refuse("cannot be read", COMPLETE)
    return MatFile(path, {name: loaded[name] for name in names})


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        problem = Problem("unreadable-file", path.name, str(error.strerror or error), "check its permissions")
        raise BadDataset(str(path), [problem]) from None
    if len(content) > MAX_BYTES:
        raise _too_large(path, f"has more than {MAX_BYTES} bytes", f"at most {MAX_BYTES} bytes")
    return content


def _too_large(path: Path, found: str, remedy: str) -> LimitExceeded:
    return LimitExceeded(str(path), [Problem("too-large", path.name, found, remedy)])


def _byte_order(path: Path, content: bytes) -> str:
    """The byte order of a file's numbers, as `struct` writes it.

    Raises:
        BadDataset: if the file is not of version 5.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128], "")
    version = struct.unpack(f"{order}H", content[124:126])[0] if order else 0
    if content.startswith(HDF5_MARK) or content[512:520] == HDF5_MARK or version == 0x0200:
        problem = Problem("matlab-version", path.name, "is of MATLAB version 7.3, which is HDF5", SAVE_AGAIN)
    elif version != 0x0100 or len(content) < HEADER_BYTES:
        found, remedy = "is no MATLAB file of version 5 to 7", f"a .mat file of version 5 to 7; {SAVE_AGAIN}"
        kind = kind_of(content[:N_BYTES])
        if kind is not None and kind.hides_file:
            found, remedy = kind.found, kind.remedy_for(path.name)
        problem = Problem("matlab-version", path.name, found, remedy)
    else:
        return order
    raise BadDataset(str(path), [problem])


class _Checker:
    """Walks through a file and checks that each array holds as much as it declares; unpacks within limits."""

    def __init__(self, path: Path, order: str, names: Collection[str]) -> None:
        self.path = path
        self.names = names
        self.seen: list[str] = []  # names of all variables
        self.found: dict[str, bool] = {}  # those asked for
        self.n_arrays = 0
        self.n_bytes = 0
        self._word = struct.Struct(f"{order}I")
        self._order = order

    def refuse(self, found: str, remedy: str) -> NoReturn:
        raise BadDataset(str(self.path), [Problem("matlab", self.path.name, found, remedy)])

    def check_file(self, content: memoryview) -> None:
        at = HEADER_BYTES
        while at < len(content):
            kind, n_bytes = self._words(content, at)
            data = content[at + 8 : at + 8 + n_bytes]
            if len(data) < n_bytes:
                self.refuse(f"ends {n_bytes - len(data)} bytes too early", COMPLETE)
            if kind not in (MATRIX, COMPRESSED):
                self.refuse(f"byte {at} begins no variable", COMPLETE)
            self._check_variable(data, packed=kind == COMPRESSED)
            at += 8 + n_bytes

    def _check_variable(self, data: memoryview, *, packed: bool) -> None:
        start = self._unpack(data, PEEK_BYTES)[8:] if packed else data
        name = self._name(start)
        self.seen.append(name)
        if name not in self.names:
            return
        if packed:
            data = self._unpack(data, MAX_UNPACKED + 1 - self.n_bytes)
        self.n_bytes += len(data)
        if self.n_bytes > MAX_UNPACKED:
            raise _too_large(self.path, f"unpacks to more than {MAX_UNPACKED} bytes", f"at most {MAX_UNPACKED} bytes")
        if packed:
            if self._words(data, 0) != (MATRIX, len(data) - 8):
                self.refuse(f"variable {quoted(name)} is damaged", COMPLETE)
            data = data[8:]
        self._check_array(data, 0)
        self.found[name] = True

    def _unpack(self, data: memoryview, most: int) -> memoryview:
        """The first bytes of compressed data."""
        try:
            return memoryview(zlib.decompressobj().decompress(data, most))
        except zlib.error as error:
            self.refuse(f"compressed data are damaged: {printable(error)}", COMPLETE)

    def _name(self, data: memoryview) -> str:
        _, at = self._element(data, 0)
        _, at = self._element(data, at)
        name, _ = self._element(data, at)
        return bytes(name[1]).decode("latin-1")

    def _words(self, data: memoryview, at: int) -> tuple[int, int]:
        return self._word.unpack_from(data, at)[0], self._word.unpack_from(data, at + 4)[0]

    def _element(self, data: memoryview, at: int) -> tuple[tuple[int, memoryview], int]:
        """Type and content of the element at a place, and the place of the next one."""
        kind, n_bytes = self._words(data, at)
        if kind >> 16:  # up to four bytes are stored in the tag
            kind, n_bytes, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if n_bytes > 4:
                self.refuse("a short element has more than 4 bytes", COMPLETE)
        else:
            start = at + 8
            end = start + -(-n_bytes // 8) * 8
        content = data[start : start + n_bytes]
        if len(content) < n_bytes:
            self.refuse("an array ends too early", COMPLETE)
        return (kind, content), end

    def _check_array(self, data: memoryview, depth: int) -> None:
        self.n_arrays += 1
        if self.n_arrays > MAX_ARRAYS:
            raise _too_large(self.path, f"has more than {MAX_ARRAYS} cells", f"at most {MAX_ARRAYS} cells and fields")
        if depth > MAX_DEPTH:
            self.refuse(f"cells and structures are nested more than {MAX_DEPTH} deep", f"at most {MAX_DEPTH} levels")
        if not data and depth:
            return  # an empty cell
        (flags_kind, flags), at = self._element(data, 0)
        (shape_kind, shape), at = self._element(data, at)
        (name_kind, _), at = self._element(data, at)
        if (flags_kind, len(flags), shape_kind, name_kind) != (UINT32, 8, INT32, INT8) or len(shape) % 4:
            self.refuse("the header of an array is damaged", COMPLETE)
        lengths = struct.unpack(f"{self._order}{len(shape) // 4}i", shape)
        flag = self._words(flags, 0)[0]
        kind = flag & 0xFF
        if min(lengths, default=-1) < 0 or not 2 <= len(lengths) <= 8:
            self.refuse(f"an array has the shape {lengths[:8]}", COMPLETE)
        size = math.prod(lengths)
        if kind == CELL:
            at = self._check_children(data, at, size, depth)
        elif kind == STRUCT:
            (width_kind, width), at = self._element(data, at)
            (names_kind, names), at = self._element(data, at)
            n_chars = self._word.unpack(width)[0]
            n_fields = len(names) // n_chars if n_chars else 0
            if (width_kind, names_kind) != (INT32, INT8) or not n_fields or len(names) % n_chars:
                self.refuse("a structure has no fields", COMPLETE)
            at = self._check_children(data, at, size * n_fields, depth)
        elif kind == CHAR:
            (stored, text), at = self._element(data, at)
            if stored not in TEXT_TYPES or size > len(text):  # scipy crashes on other types
                self.refuse(f"a text of {size} characters has {len(text)} bytes", COMPLETE)
        elif kind in NUMERIC:
            for _ in range(2 if flag & COMPLEX else 1):
                (stored, values), at = self._element(data, at)
                if stored not in ITEM_BYTES or size * ITEM_BYTES[stored] != len(values):
                    self.refuse(f"an array of {size} numbers has {len(values)} bytes", COMPLETE)
        else:
            remedy = "only numbers, texts, cells and structures are read"
            self.refuse(f"holds a sparse array, an object or a function (class {kind})", remedy)
        if at != -(-len(data) // 8) * 8:  # otherwise scipy would take the next array from another place
            self.refuse("an array is longer than its content", COMPLETE)

    def _check_children(self, data: memoryview, at: int, n_children: int, depth: int) -> int:
        if n_children > (len(data) - at) // 8:  # the smallest array has 8 bytes
            self.refuse(f"{n_children} cells have {len(data) - at} bytes", COMPLETE)
        for _ in range(n_children):
            (kind, content), at = self._element(data, at)
            if kind != MATRIX:
                self.refuse("a cell holds no array", COMPLETE)
            self._check_array(content, depth + 1)
        return at


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a structure"
    if isinstance(value, str):
        return f"a text, {quoted(value)}"
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype == object):
        return "a list of cells"
    return "an array of numbers" if isinstance(value, np.ndarray) else "a number"
