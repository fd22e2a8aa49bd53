"""Gets values of the expected types from what a browser sent."""

from typing import Any

from piq_bench.build.annotate.actions import Refused

MOST_ROWS = 20_000  # images in one request
MOST_TEXT = 100_000  # characters: every label of a task of many labels


def numbers_of(body: dict[str, Any], key: str) -> list[int]:
    """A list of whole numbers from a request."""
    found = body.get(key)
    is_list = isinstance(found, list) and 0 < len(found) <= MOST_ROWS
    if not is_list or not all(type(one) is int and 0 <= one < 2**31 for one in found or ()):
        raise Refused(f"'{key}' must be a list of numbers.")
    return list(found or ())


def text_of(body: dict[str, Any], key: str) -> str:
    """A text from a request."""
    found = body.get(key)
    if not isinstance(found, str) or len(found) > MOST_TEXT:
        raise Refused(f"'{key}' must be a text.")
    return found
