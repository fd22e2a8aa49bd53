"""Submissions as .npy files and zip archives whose headers and members are wrong in one place or several."""

import io
import struct
import zlib
from collections.abc import Iterable
from random import Random

import numpy as np
from fuzz.values import NUMBERS, changed_bytes

DTYPES = [
    "<f2",
    ">f2",
    "<f4",
    ">f4",
    "<f8",
    "<f16",
    "<c8",
    "|O",
    "|V2",
    "<M8[s]",
    "|S5",
    "|S0",
    "<U0",
    "<U1",
    ">U7",
    "|b1",
]
DTYPES += [
    "|i1",
    "<u8",
    "<U999999999",
    "<U-1",
    "(3,)f4",
    "f4,f4",
    "|V0",
    "",
    "\0",
    "object",
    "longlong",
    "datetime64[ns]",
]
SHAPES = [
    "()",
    "(0,)",
    "(6,)",
    "(6, 0)",
    "(4, 6)",
    "(24,)",
    "(-6, -4)",
    "(True, 4)",
    "(6.0, 4)",
    "[6, 4]",
    "6",
    "(6, 4",
]
SHAPES += [
    "(281474976710655, 281474976710655)",
    "(18446744073709551616,)",
    str((1,) * 65),
    f"({'1,' * 2000})",
    "(0x6, 4)",
]
HEADERS = ["(" * 90, "[" * 3000, "{" * 200, "__import__('os')", "1" * 4000, "b'\\x'", "'" * 4090, "{**{}}", "lambda: 0"]
POINTS = [0, 0xD800, 0xDFFF, 0x110000, 0xFFFFFFFF, 0x10FFFF, 0x202E, 0x1B, 10, 32]
NAMES = [
    b"../x.npy",
    b"/x.npy",
    b"a\\b.npy",
    b"\xff.npy",
    b"",
    b"a/" * 500,
    b"__MACOSX/x",
    b"meta.npy",
    b"x.npy\0",
    b"embedding.npy",
]


def npy(draw: Random, values: np.ndarray) -> bytes:
    """An array as a .npy file; one in five has another header or other values than it should."""
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    if draw.random() < 0.8:
        return stream.getvalue()
    dtype, shape, order, version, body = values.dtype.str, repr(values.shape), "False", 1, values.tobytes()
    kind = draw.randrange(7)
    if kind == 0:
        dtype = draw.choice(DTYPES)
    elif kind == 1:
        shape = draw.choice(SHAPES)
    elif kind == 2:
        order, version = draw.choice(["True", "None", "0"]), draw.choice([1, 2, 3, 4, 255])
    elif kind == 3:
        body = changed_bytes(draw, body)
    elif values.dtype.kind == "U":
        points = np.frombuffer(bytearray(body), np.uint32).copy()
        if points.size:
            points[draw.randrange(points.size)] = draw.choice(POINTS)
        body = points.tobytes()
    elif len(body) > 8:
        place = draw.randrange(len(body) // 2) * 2
        body = (
            body[:place]
            + struct.pack("<H", draw.choice([0x7C01, 0xFC00, 0x7FFF, 0xFFFF, 0x7E00, 1]))
            + body[place + 2 :]
        )
    header = f"{{'descr': {dtype!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if draw.random() < 0.1:
        header = draw.choice(HEADERS)
    raw = header.encode("latin-1", "replace")
    raw = (changed_bytes(draw, raw) if draw.random() < 0.1 else raw) + b"\n"
    width = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + (len(raw) % (1 << 8 * width)).to_bytes(width, "little") + raw + body


def archive(draw: Random, members: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip archive of some members; half of the archives have wrong numbers, names or sizes here and there."""
    is_wild = draw.random() < 0.5

    def number(value: int, width: int) -> bytes:
        wrong = is_wild and draw.random() < 0.03
        return ((draw.choice(NUMBERS) if wrong else value) % (1 << 8 * width)).to_bytes(width, "little")

    local, central, n = bytearray(), bytearray(), 0
    for text, content in members:
        name = text.encode("utf-8", "surrogatepass")
        if is_wild and draw.random() < 0.05:
            name = draw.choice(NAMES)
        method = draw.choice([0, 8, 8])
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(content) + packer.flush() if method else content
        flags = draw.choice([1, 8, 0x40, 0x800, 0xFFFF]) if is_wild and draw.random() < 0.1 else 0
        shared = number(flags, 2) + number(method, 2) + number(0, 2) + number(33, 2) + number(zlib.crc32(content), 4)
        shared += number(len(packed), 4) + number(len(content), 4) + number(len(name), 2)
        place = len(local)
        local += b"PK\3\4" + number(20, 2) + shared + number(0, 2) + name + packed
        for _ in range(draw.choice([1] * 20 + [2, 40]) if is_wild else 1):
            mode = draw.choice([0, 0, 0, 0o120777 << 16, 0o40755 << 16]) if is_wild else 0
            central += b"PK\1\2" + number(20, 2) + number(20, 2) + shared + number(0, 2) + number(0, 2) + number(0, 2)
            central += number(0, 2) + number(mode, 4) + number(place, 4) + name
        n += 1
    end = (
        b"PK\5\6" + number(0, 2) * 2 + number(n, 2) * 2 + number(len(central), 4) + number(len(local), 4) + number(0, 2)
    )
    raw = bytes(local + central + end)
    return changed_bytes(draw, raw) if is_wild and draw.random() < 0.3 else raw
