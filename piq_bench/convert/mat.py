"""Reads MATLAB files of version 5 to 7.2, whose variables may be packed, with scipy.

Every packed variable is unpacked once piece by piece, only to count its bytes, so that a file cannot unpack to more
than fits. Arrays of objects are read as texts or not at all.
"""

import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from piq_bench.convert.features import MAX_ROWS, refusal
from piq_bench.errors import printable
from piq_bench.read.container import MAX_MEMORY_BYTES, MAX_TEXT_WIDTH

PACKED = 15  # the data type of a packed variable
PIECE_BYTES = 1 << 20
MAX_VARIABLES = 200
REMEDY = "write it again with scipy.io.savemat, or in MATLAB with save -v7"


def read_mat(path: Path) -> dict[str, object]:
    """Numbers as arrays and cell arrays or character arrays as lists of texts, by variable.

    Raises:
        BadSubmission: if the file is damaged, too large or of another version.
    """
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    try:
        n_bytes = _unpacked_bytes(path)
        if n_bytes > MAX_MEMORY_BYTES:
            raise refusal(path, "too-large", f"unpacks to more than {MAX_MEMORY_BYTES} bytes", "store float32")
        declared = whosmat(path)
        if len(declared) > MAX_VARIABLES:
            raise refusal(path, "too-many-members", f"has {len(declared)} variables", f"at most {MAX_VARIABLES}")
        for name, shape, kind in declared:
            # A number takes at least one byte of the file and a cell at least eight.
            if int(np.prod([float(n) for n in shape])) > (MAX_ROWS if kind == "cell" else n_bytes):
                found = f"declares shape {tuple(shape)}, more than the file holds"
                raise refusal(path, "truncated", found, REMEDY, name)
        read = [name for name, _, kind in declared if kind not in ("struct", "object", "opaque", "function", "unknown")]
        content = loadmat(path, variable_names=read)
    except (MatReadError, ValueError, TypeError, NotImplementedError, EOFError, OSError, KeyError, IndexError) as error:
        raise refusal(path, "damaged", f"cannot be read as a MATLAB file: {printable(error)}", REMEDY) from None
    except (zlib.error, struct.error, OverflowError, AssertionError, RecursionError) as error:
        raise refusal(path, "damaged", f"cannot be unpacked: {printable(error)}", REMEDY) from None
    return {name: _plain(value) for name, value in content.items() if name in read}


def _unpacked_bytes(path: Path) -> int:
    """Size of all variables, unpacked; counting ends once it exceeds the limit."""
    total = 0
    with path.open("rb") as stream:
        head = stream.read(128)
        order = "<" if head[126:128] == b"IM" else ">"
        while tag := stream.read(8):
            if len(tag) < 8:
                raise EOFError("the file ends inside a variable")
            kind, n_bytes = struct.unpack(f"{order}II", tag)
            if kind == PACKED:
                total += _count(stream, n_bytes, MAX_MEMORY_BYTES - total)
            else:
                total += n_bytes
                stream.seek(n_bytes, 1)
            if total > MAX_MEMORY_BYTES:
                return total
        if stream.tell() > path.stat().st_size:
            raise EOFError("the file ends inside a variable")
    return total


def _count(stream: IO[bytes], n_packed: int, limit: int) -> int:
    """Bytes to which a packed variable unpacks; more than `limit` bytes are not unpacked."""
    unpacker = zlib.decompressobj()
    total = 0
    while n_packed > 0 and total <= limit:
        piece = stream.read(min(PIECE_BYTES, n_packed))
        if not piece:
            raise EOFError("the file ends inside a variable")
        n_packed -= len(piece)
        while piece and total <= limit:
            total += len(unpacker.decompress(piece, PIECE_BYTES))
            piece = unpacker.unconsumed_tail
    return total


def _plain(value: object) -> object:
    """A cell array of texts as a list; padded character arrays without their blanks; any other array as it is."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "U":
        return [str(text).rstrip(" ") for text in value.ravel().tolist()]
    if value.dtype.kind != "O":
        return value
    texts = []
    for cell in value.ravel().tolist():
        text = cell.ravel()[0] if isinstance(cell, np.ndarray) and cell.size == 1 else cell
        if not isinstance(text, str) or len(text) > MAX_TEXT_WIDTH:
            return None  # a cell array of anything else is not read
        texts.append(str(text))
    return texts
