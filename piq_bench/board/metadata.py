"""Reads and validates metadata.toml, the author's description of an entry.

All problems are reported at once. Keys that belong to the grader, such as a rank, and unknown keys are refused:
otherwise a misspelt claim would be ignored without notice.
"""

import re
import unicodedata
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, StringConstraints, ValidationError

from piq_bench.board.wording import expected
from piq_bench.documents import parse_toml
from piq_bench.errors import BadSubmission, Problem, printable, quoted
from piq_bench.read.validate import closest

FILE = "metadata.toml"
SCHEMA = "piq-bench/entry/1"
MAX_BYTES = 64 << 10
MOST_CLAIMS = 200  # of aspects, of F1 scores and of re-id scores
MOST_PARAMETERS = 10**15
INVISIBLE = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # Unicode categories that are invisible or reorder the text around them
BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0]")  # letters and marks that are invisible
MOST_MARKS = 4  # accents on one letter: more would reach into the lines above and below
RESERVED = ("verified", "rank", "piq", "score", "grade", "result", "baseline")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[dict[Text, Share], Field(max_length=MOST_CLAIMS)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True
    )  # "no" stays a text and does not become a boolean


class Method(_Strict):
    """How the predictions were made."""

    summary: LongText
    backbone: Text | None = None
    parameters: Annotated[int, Field(ge=0, le=MOST_PARAMETERS)] | None = None
    ensemble: bool = False
    test_time_augmentation: bool = False
    reranking: bool = False


class Training(_Strict):
    """The data that the method was trained on."""

    datasets: Annotated[list[Text], Field(max_length=50)]
    external_data: bool
    used_test_images: Literal[False] = Field(
        description="must be false: training on query or gallery images is not allowed"
    )


class Claimed(_Strict):
    """Scores that the author claims; the grader computes them again and requires equality to the last bit."""

    piq: Share | None = None
    aspects: Shares = Field(default_factory=dict)
    f1: Shares = Field(default_factory=dict)
    reid: Shares = Field(default_factory=dict)
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class Metadata(_Strict):
    """The whole file."""

    schema_: Literal["piq-bench/entry/1"] = Field(alias="schema")
    name: Text
    team: Text
    authors: Annotated[list[Text], Field(min_length=1, max_length=100)]
    date: date
    method: Method
    training: Training
    contact: Text | None = None
    paper: HttpUrl | None = None
    code: HttpUrl | None = None
    licence: Text | None = None
    claimed: Claimed = Field(default_factory=Claimed)


def read_metadata(folder: Path) -> Metadata:
    """Read and validate the metadata of an entry.

    Args:
        folder: folder of the entry.

    Raises:
        BadSubmission: with every problem found.
    """
    path = folder / FILE
    try:
        if path.is_symlink() or not path.is_file():
            raise _refusal(
                path, "missing-metadata", "does not exist", "write one; the metadata of other entries are examples"
            )
        if path.stat().st_size > MAX_BYTES:
            raise _refusal(path, "too-large", f"has {path.stat().st_size} bytes", f"at most {MAX_BYTES}")
        content = parse_toml(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise _refusal(path, "unreadable", printable(error), "a TOML file in UTF-8") from None
    problems = list(_strange_texts(content, ""))
    try:
        metadata = Metadata.model_validate(content)
    except ValidationError as error:
        problems += [_problem(details) for details in error.errors(include_url=False)]
    if problems:
        raise BadSubmission(str(path), problems)
    return metadata


def json_schema() -> dict[str, Any]:
    """The rules of metadata.toml as JSON Schema, for editors and other tools."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Metadata.model_json_schema(by_alias=True)}


def _problem(error: Any) -> Problem:  # noqa: ANN401
    """An error of pydantic as a located problem."""
    where = ".".join(map(str, error["loc"]))
    last = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        if last in RESERVED:
            return Problem("reserved-key", printable(where), "may only be set by the grader", "leave it out")
        known = _keys(error["loc"][:-1])
        meant = closest(last, known)
        hint = f"did you mean {quoted(meant)}? " if meant else ""
        return Problem(
            "unknown-key", printable(where), "is not a known key", f"{hint}known keys are {', '.join(known)}"
        )
    if error["type"] == "missing":
        return Problem("missing-key", printable(where), "is missing", "add it")
    plain = isinstance(error["input"], str | int | float | bool)
    found = f"got {quoted(error['input'])}" if plain else "does not fit"
    return Problem("bad-value", printable(where), found, f"expected {expected(error)}")


def _keys(place: tuple[str | int, ...]) -> list[str]:
    """The known keys of the table in which an unknown key was found."""
    models: dict[tuple[str | int, ...], type[BaseModel]] = {
        (): Metadata,
        ("method",): Method,
        ("training",): Training,
        ("claimed",): Claimed,
    }
    model = models.get(place, Metadata)
    return [field.alias or name for name, field in model.model_fields.items()]


def _strange_texts(value: object, where: str) -> list[Problem]:
    """A problem for each key and text that a terminal or page would not show as it is, or that imitates another."""
    if isinstance(value, dict):
        found = []
        for key, part in value.items():
            own = f"{where}.{key}".lstrip(".")
            if fault := _text_fault(key):
                found.append(Problem("strange-text", own, f"the key {quoted(key)} {fault}", "plain text"))
            found += _strange_texts(part, own)
        return found
    if isinstance(value, list):
        return [problem for i, part in enumerate(value) for problem in _strange_texts(part, f"{where}[{i}]")]
    fault = _text_fault(value.replace("\n", " ")) if isinstance(value, str) else None
    return [Problem("strange-text", where, f"{quoted(value)} {fault}", "plain text")] if fault else []


def _text_fault(text: str) -> str | None:
    r"""The problem with how a text looks; None if there is none.

    >>> _text_fault("Zoë Łukasiewicz, 山田　太郎")
    >>> _text_fault("piq\u200bbench")
    'has invisible characters'
    """
    if BLANK.search(text) or any(unicodedata.category(character) in INVISIBLE for character in text):
        return "has invisible characters"
    n_marks = 0
    for character in text:
        n_marks = n_marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if n_marks > MOST_MARKS:
            return f"has more than {MOST_MARKS} marks on one letter"
    return None


def _refusal(path: Path, code: str, found: str, remedy: str) -> BadSubmission:
    return BadSubmission(str(path), [Problem(code, FILE, found, remedy)])
