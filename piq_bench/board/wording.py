"""Says in our own words what a value should have been, for each kind of error that pydantic finds."""

from typing import Any

ADDRESS = "a web address that begins with https:// or http://"
DIGEST = "64 digits and letters a to f in lower case, as `sha256sum` prints them"
KINDS = {
    "bool": "true or false, without quotes",
    "date": "a date such as 2026-12-24, without quotes",
    "dict": "a table",
    "finite_number": "a number",
    "float": "a number",
    "json": "an object in JSON",
    "int": "a whole number",
    "list": 'a list: ["..."]',
    "model": "a table",
    "string": "a text in quotes",
    "tuple": 'a list: ["..."]',
    "url": ADDRESS,
}
LIMITS = {  # pydantic's name of a rule, our words, and the name of the limit in its details
    "greater_than": ("more than {}", "gt"),
    "greater_than_equal": ("at least {}", "ge"),
    "less_than": ("less than {}", "lt"),
    "less_than_equal": ("at most {}", "le"),
    "string_too_short": ("a text of at least {} characters", "min_length"),
    "string_too_long": ("a text of at most {} characters", "max_length"),
    "too_short": ("at least {} of them", "min_length"),
    "too_long": ("at most {} of them", "max_length"),
}


def expected(error: Any) -> str:  # noqa: ANN401  pydantic's ErrorDetails
    """What would be right: "at most 1".

    Args:
        error: one of `ValidationError.errors()`.

    >>> expected({"type": "less_than_equal", "ctx": {"le": 1.0}})
    'at most 1'
    """
    kind, details = str(error["type"]), error.get("ctx", {})
    if kind in LIMITS:
        words, name = LIMITS[kind]
        limit = details[name]
        return words.format(f"{limit:g}" if isinstance(limit, float) else limit)
    if kind == "literal_error":
        return str(details["expected"]).replace("False", "false").replace("True", "true")
    if kind == "string_pattern_mismatch":
        return DIGEST
    return next((words for name, words in KINDS.items() if kind.startswith(name)), "another value")


def located(error: Any) -> str:  # noqa: ANN401  pydantic's ErrorDetails
    """Where a value is wrong and what would be right: "score.piq: expected at most 1"."""
    where = ".".join(map(str, error["loc"])) or "the content"
    faults = {"missing": "is missing", "extra_forbidden": "is not a known key"}
    return f"{where} {faults[error['type']]}" if error["type"] in faults else f"{where}: expected {expected(error)}"
