"""TOML files with odd values, keys and tables in the place of valid ones."""

import json
from random import Random

from fuzz.values import NUMBERS, changed_bytes, some_text

WORDS = [
    "schema",
    "name",
    "version",
    "grouping",
    "tasks",
    "threshold",
    "mode",
    "aspect",
    "kind",
    "labels",
    "multi_label",
]
WORDS += [
    "retrieval",
    "exclude",
    "junk",
    "images",
    "root",
    "claimed",
    "piq",
    "url",
    "sha256",
    "bytes",
    "method",
    "date",
]
LITERALS = [
    "nan",
    "inf",
    "-inf",
    "1e999",
    "0.5",
    "1.",
    ".",
    "true",
    "True",
    "1979-05-27",
    "07:32:00",
    "2021-02-30",
    "+1",
]
LITERALS += [
    "0000-01-01",
    "1979-05-27T07:32:00+99:99",
    "0b1",
    "1_000",
    "00",
    '["x", "x"]',
    '[["group"]]',
    "'''x",
    '"""',
]


def changed_toml(draw: Random, content: str) -> bytes:
    """A TOML text with a few lines replaced, removed or put in."""
    if draw.random() < 0.3:
        return changed_bytes(draw, content.encode())
    lines = content.split("\n")
    for _ in range(draw.choice([1, 1, 2, 3])):
        place, kind = draw.randrange(len(lines)), draw.randrange(7)
        if kind < 3 and "=" in lines[place]:
            lines[place] = f"{lines[place].partition('=')[0]}= {_value(draw)}"
        elif kind < 4:
            lines.insert(place, f"{draw.choice(WORDS)} = {_value(draw)}")
        elif kind == 4:
            lines.insert(place, draw.choice(["[%s]", "[tasks.%s]", "[[%s]]", '["%s".x]']) % draw.choice(WORDS))
        elif kind == 5:
            parts = draw.choice([2, 3, 15, 17, 350, 1500, 16_000])
            key = draw.choice([".", " . "]).join(draw.choice([*WORDS, '"a"', "'b.c'"]) for _ in range(parts))
            lines.insert(place, draw.choice(["{} = 1", "[{}]", "x = {{{} = 1}}"]).format(key))
        elif len(lines) > 1:
            del lines[place]
    raw = "\n".join(lines).encode("utf-8", "surrogatepass")
    return changed_bytes(draw, raw, 1) if draw.random() < 0.15 else raw


def _value(draw: Random, depth: int = 0) -> str:
    kind = draw.randrange(9)
    if kind < 2:
        return json.dumps(some_text(draw))
    if kind == 2:
        return json.dumps(some_text(draw).encode("utf-8", "replace").decode(), ensure_ascii=False)
    if kind == 3:
        return draw.choice(
            [str(draw.choice(NUMBERS)), "0x" + "f" * draw.choice([16, 4000]), "1" * draw.choice([99, 4301])]
        )
    if kind == 4 and depth < 3:
        return f"[{', '.join(_value(draw, depth + 1) for _ in range(draw.randrange(4)))}]"
    if kind == 5 and depth < 3:
        pairs = (f"{draw.choice(WORDS)} = {_value(draw, depth + 1)}" for _ in range(draw.randrange(3)))
        return f"{{{', '.join(pairs)}}}"
    if kind == 6 and draw.random() < 0.3:
        n = draw.choice([50, 300, 2000])
        return draw.choice(["[" * n + "]" * n, "{a=" * n + "1" + "}" * n])
    return draw.choice(LITERALS)
