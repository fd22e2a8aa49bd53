"""Reads MATLAB files of version 5 to 7.2, whose variables may be packed, with scipy in another process.

scipy crashes on some damaged files; then only that process ends, and the file is refused. Before scipy sees the file,
its packed variables are unpacked piece by piece, only to count their bytes.
"""

import struct
import zlib
from pathlib import Path
from typing import IO

from piq_bench.convert.exchange import read_apart
from piq_bench.convert.features import refusal
from piq_bench.errors import printable
from piq_bench.limits import MAX_MEMORY_BYTES, most_bytes

PACKED = 15  # the data type of a packed variable
PIECE_BYTES = 1 << 20
REMEDY = "write it again with scipy.io.savemat, or in MATLAB with save -v7"
UNPACK = "piq_bench.convert.unpack_mat"


def read_mat(path: Path) -> dict[str, object]:
    """Numbers as arrays, and cell arrays or character arrays as lists of texts, by variable.

    Raises:
        BadSubmission: if the file is damaged.
        LimitExceeded: if it takes more memory or time than is allowed.
    """
    _check_size(path)
    return read_apart(UNPACK, path, refusal(path, "damaged", "scipy crashed while reading it", REMEDY))


def _check_size(path: Path) -> None:
    """Refuse a file that is cut off or would unpack to too much."""
    try:
        n_bytes = unpacked_bytes(path)
    except (EOFError, zlib.error, struct.error) as error:
        raise refusal(path, "damaged", f"cannot be unpacked: {printable(error)}", REMEDY) from None
    most = _most_bytes(path)
    if n_bytes > most:
        raise refusal(path, "too-large", f"unpacks to more than {most} bytes", "store float32")


def _most_bytes(path: Path) -> int:
    return min(MAX_MEMORY_BYTES, most_bytes(path.stat().st_size))


def unpacked_bytes(path: Path) -> int:
    """Size of all variables, unpacked; counting ends once it exceeds the limit."""
    total, most = 0, _most_bytes(path)
    with path.open("rb") as stream:
        head = stream.read(128)
        order = "<" if head[126:128] == b"IM" else ">"
        while tag := stream.read(8):
            if len(tag) < 8:
                raise EOFError("the file ends inside a variable")
            kind, n_bytes = struct.unpack(f"{order}II", tag)
            if kind == PACKED:
                total += _count(stream, n_bytes, most - total)
            else:
                total += n_bytes
                stream.seek(n_bytes, 1)
            if total > most:
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
