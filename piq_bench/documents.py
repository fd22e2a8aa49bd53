"""Parses the TOML and JSON of strangers; whatever is wrong with a text, one ValueError says it.

The caller bounds the size of a text. This module bounds what a small text can become: the parts of a dotted key, the
depth of nesting and the digits of a number. The result can be printed, written as UTF-8 and compared: every text is
made of whole characters, and every number is finite.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 64  # tables and lists in each other; no format of this project needs more than 6
MAX_PARTS = 16  # of a dotted key in TOML, whose parser needs memory for the square of them
MAX_DIGITS = 40  # of a whole number; more are not needed, and Python prints and compares only so many
LARGEST = 10**MAX_DIGITS
TOML_TEXT = re.compile(
    r"""\#[^\n]*
    | \"{3}(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5} | '{3}(?:[^']++|'{1,2}(?!'))*+'{3,5}
    | "(?:[^"\\\n]++|\\.)*+" | '[^'\n]*+' | (?P<open>["'])""",
    re.VERBOSE | re.DOTALL,
)
KEY = re.compile(r"[\w\- \t.]+")
Place = tuple[Any, ...]  # of a value: (), or the place of the table or list around it and the key in there


def parse_toml(text: str) -> dict[str, object]:
    """The content of a TOML text.

    Raises:
        ValueError: if it is not TOML, or exceeds the limits of this module.
    """
    if any(run.count(".") >= MAX_PARTS for run in KEY.findall(_without_texts(text))):
        raise ValueError(f"a key has more than {MAX_PARTS} parts")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as error:
        raise ValueError(_in_own_words(error)) from None
    _check(content)
    return content


def parse_json(text: str | bytes) -> object:
    """The content of a JSON text; bytes may be UTF-8, UTF-16 or UTF-32.

    Raises:
        ValueError: if it is not JSON, repeats a key, or exceeds the limits of this module.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique_keys)
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as error:
        raise ValueError(_in_own_words(error)) from None
    _check(content)
    return content


def _without_texts(text: str) -> str:
    """A TOML text with a letter in the place of each quoted text, without comments, up to a quote that stays open."""
    parts, place = [], 0
    for found in TOML_TEXT.finditer(text):
        parts.append(text[place : found.start()])
        place = found.end()
        if found["open"]:
            return "".join(parts)
        parts.append("" if found[0].startswith("#") else "x")
    return "".join([*parts, text[place:]])


def _in_own_words(error: ValueError) -> str:
    if "int_max_str_digits" in str(error):
        return f"a number has more than {MAX_DIGITS} digits"
    return str(error)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _check(content: object) -> None:
    """Check all values, and the keys of tables, without recursion."""
    level: list[tuple[Place, object]] = [((), content)]
    for _ in range(MAX_DEPTH):
        deeper: list[tuple[Place, object]] = []
        for place, value in level:
            for key, part in _parts(value):
                fault = _fault(key) or _fault(part)
                if fault is not None:
                    raise ValueError(f"{_shown((place, key))} {fault}")
                if isinstance(part, dict | list):
                    deeper.append(((place, key), part))
        level = deeper
    if level:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")


def _parts(value: object) -> Iterator[tuple[object, object]]:
    """Keys or numbers, and values, of a table or list; any other value is a part of its own."""
    if isinstance(value, dict):
        return iter(value.items())
    return enumerate(value) if isinstance(value, list) else iter([("the value", value)])


def _shown(place: Place) -> str:
    keys = []
    while place:
        place, key = place
        keys.append(str(key))
    return ".".join(keys[::-1])


def _fault(value: object) -> str | None:
    if isinstance(value, str):
        is_broken = not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)
        return "has half of a surrogate pair, which is no character" if is_broken else None
    if isinstance(value, int):
        return f"is a number of more than {MAX_DIGITS} digits" if abs(value) >= LARGEST else None
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value}, which is not a finite number"
    return None
