"""Identities whose names look like a missing value, or like another identity's name: likely slips that move scores."""

import unicodedata
from collections.abc import Collection, Iterable

MISSING = frozenset({"nan", "none", "null", "na", "n/a", "-1", "0000", "unknown"})


def look_missing(identities: Iterable[str], declared: Collection[str]) -> list[str]:
    """Names that often stand for "no identity", without those that benchmark.toml declares to be what they are.

    >>> look_missing(["0001", "NaN", "0000"], declared=["0000"])
    ['NaN']
    """
    return [name for name in identities if name.strip().casefold() in MISSING and name not in declared]


def look_alike(identities: Iterable[str]) -> list[tuple[str, ...]]:
    """Sets of names that differ only in case, blanks, leading zeros, a trailing ".0" or Unicode form.

    >>> look_alike(["7", "007", "7.0", "8", "Ann", "ann "])
    [('7', '007', '7.0'), ('Ann', 'ann ')]
    """
    by_form: dict[str, list[str]] = {}
    for name in identities:
        by_form.setdefault(_bare(name), []).append(name)
    return [tuple(names) for names in by_form.values() if len(names) > 1]


def _bare(name: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    return text.removesuffix(".0").lstrip("0") or "0"
