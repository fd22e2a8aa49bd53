"""Odd texts, numbers, JSON values and bytes, and small changes of valid ones; all drawn from a seeded generator."""

import json
from random import Random
from typing import Any

NUMBERS = [0, 1, 2, 7, 8, 63, 127, 255, 256, 4096, 65535, 2**31 - 1, 2**31, 2**32, 2**48, 2**53, 2**63, 2**64 - 1]
NUMBERS += [-1, -128, -(2**31), -(2**63), 10**19, 10**400]
FLOATS = [0.0, -0.0, 0.5, 1.0, 1e308, 5e-324, float("nan"), float("inf"), -float("inf"), 1.0000001, -1e-9]
TEXTS = [
    "",
    " ",
    "\0",
    "\n",
    "\r\n",
    "-",
    "|",
    "a|b",
    "..",
    "../x",
    "/etc/passwd",
    "\\",
    "\x1b[31m",
    "\u202e",
    "\u200b",
]
TEXTS += [
    "\ud800",
    "\udfff",
    "\U0010ffff",
    "é",
    "e\u0301",
    "[red]",
    "=1+1",
    "<b>",
    "{{7*7}}",
    "%s",
    "\\input{x}",
    "nan",
]
TEXTS += [
    "None",
    "0",
    "-1",
    "0000",
    "1e999",
    "A" * 300,
    "a" * 5000,
    "a.jpg",
    "a0.jpg",
    "anna",
    "null",
    "\ufeff",
    "\u2028",
]
PIECES = [
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\0" * 4,
    b"\r",
    b"\xff",
    b'"',
    b"[",
    b"{",
    b"=",
    b"PK",
]
DEPTHS = [10, 60, 70, 300, 900, 990]


def some_text(draw: Random) -> str:
    """An odd text, now and then a long or a random one."""
    kind = draw.random()
    if kind < 0.05:
        return "".join(chr(draw.randrange(draw.choice([128, 0x300, 0x110000]))) for _ in range(draw.randrange(12)))
    return draw.choice(TEXTS) * (draw.randrange(50) if kind < 0.1 else 1)


def some_value(draw: Random, depth: int = 0) -> object:
    """A JSON value, or a number that JSON does not know."""
    kind = draw.randrange(10)
    if kind < 3:
        return some_text(draw)
    if kind < 6:
        return draw.choice([*NUMBERS, *FLOATS, None, True, False])
    if kind == 6 and depth < 3:
        return [some_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind == 7 and depth < 3:
        return {some_text(draw): some_value(draw, depth + 1) for _ in range(draw.randrange(4))}
    if kind == 8 and draw.random() < 0.2:
        value: object = 1
        for _ in range(draw.choice(DEPTHS)):
            value = [value]
        return value
    return draw.choice([[], {}, "x", 0.25])


def changed_bytes(draw: Random, content: bytes, n: int | None = None) -> bytes:
    """The bytes with a few changes: bits, numbers, pieces that are removed, repeated, moved or put in."""
    found = bytearray(content)
    for _ in range(n or draw.choice([1, 1, 1, 2, 3, 5, 8])):
        kind, place = draw.randrange(9), draw.randrange(len(found) + 1)
        size = draw.choice([1, 2, 4, 8, 64])
        if kind == 0 and place < len(found):
            found[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del found[place : place + size]
        elif kind == 2:
            found[place:place] = draw.randbytes(size)
        elif kind == 3 and draw.random() < 0.3:
            del found[place:]
        elif kind == 4:
            width = min(size, 8)
            number = draw.choice(NUMBERS) % (1 << 8 * width)
            found[place : place + width] = number.to_bytes(width, draw.choice(["little", "big"]))
        elif kind == 5:
            other = draw.randrange(len(found) + 1)
            found[place : place + size] = found[other : other + size]
        elif kind == 6:
            found[place:place] = found[place : place + size] * draw.choice([1, 2, 20])
        elif kind == 7:
            found[place:place] = some_text(draw).encode("utf-8", "surrogatepass")
        else:
            found[place : place + draw.randrange(2)] = draw.choice(PIECES)
    return bytes(found)


def changed_json(draw: Random, content: object) -> object:
    """A copy of a JSON value with a few values or keys replaced, removed, renamed, moved or put in."""
    tree = json.loads(json.dumps(content))
    for _ in range(draw.choice([1, 1, 2, 3])):
        places = list(_places(tree))
        if not places:
            return some_value(draw)
        box, key = draw.choice(places)
        kind = draw.randrange(6)
        if kind < 3:
            box[key] = some_value(draw)
        elif kind == 3:
            del box[key]
        elif kind == 4 and isinstance(box, dict):
            box[some_text(draw)] = box.pop(key)
        elif isinstance(box, dict):
            box[some_text(draw)] = some_value(draw)
        else:
            box.append(some_value(draw))
    return tree


def json_bytes(draw: Random, content: object) -> bytes:
    """A JSON text of a value, now and then one that is damaged or nested too deeply to be written."""
    try:
        text = json.dumps(content, ensure_ascii=draw.random() < 0.5)
    except (RecursionError, ValueError):
        text = "[" * draw.choice([500, 2000, 100_000])
    raw = text.encode("utf-8", draw.choice(["surrogatepass", "replace"]))
    return changed_bytes(draw, raw, 1) if draw.random() < 0.2 else raw


def _places(tree: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401  (a JSON value)
    found, boxes = [], [tree]
    while boxes:
        box = boxes.pop()
        if isinstance(box, dict | list):
            for key in list(box) if isinstance(box, dict) else range(len(box)):
                found.append((box, key))
                boxes.append(box[key])
    return found
