"""metadata.toml: what the author of an entry says about it. In comes a stranger's text, out comes a checked record.

Every problem is reported at once. Words that only the grader may say, such as a rank, are refused, as is any key that
is not known: a misspelt key would otherwise be a claim that nobody reads.
"""

import re
import tomllib
import unicodedata
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, StringConstraints, ValidationError

from piq_bench.errors import BadSubmission, Problem, printable, quoted
from piq_bench.read.validate import closest

FILE = "metadata.toml"
SCHEMA = "piq-bench/entry/1"
MAX_BYTES = 64 << 10
MOST_CLAIMS = 200  # of a kind
MOST_PARAMETERS = 10**15
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # kinds of characters that show nothing, or turn what stands around
BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0]")  # letters and marks that show nothing
MOST_MARKS = 4  # accents on one letter: more reach into the lines above and below
RESERVED = ("verified", "rank", "piq", "score", "grade", "result", "baseline")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[dict[Text, Share], Field(max_length=MOST_CLAIMS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)  # "no" is a text, and no boolean


class Method(_Strict):
    """How predictions were made."""

    summary: LongText
    backbone: Text | None = None
    parameters: Annotated[int, Field(ge=0, le=MOST_PARAMETERS)] | None = None
    ensemble: bool = False
    test_time_augmentation: bool = False
    reranking: bool = False


class Training(_Strict):
    """What the method has seen."""

    datasets: Annotated[list[Text], Field(max_length=50)]
    external_data: bool
    used_test_images: Literal[False] = Field(description="nobody may train on query or gallery images")


class Claimed(_Strict):
    """What the author found; the grader computes it again, and expects the same to the last bit."""

    piq: Share | None = None
    aspects: Shares = Field(default_factory=dict)
    f1: Shares = Field(default_factory=dict)
    reid: Shares = Field(default_factory=dict)
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class Metadata(_Strict):
    """All of the file."""

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
    """Read and check an entry's metadata.

    Args:
        folder: of the entry.

    Raises:
        BadSubmission: with every problem found.
    """
    path = folder / FILE
    try:
        if path.is_symlink() or not path.is_file():
            raise _refusal(path, "missing-metadata", "there is no such file", "see how others have it")
        if path.stat().st_size > MAX_BYTES:
            raise _refusal(path, "too-large", f"{path.stat().st_size} bytes", f"at most {MAX_BYTES}")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refusal(path, "unreadable", printable(error), "a file of TOML, in UTF-8") from None
    problems = list(_strange_texts(content, ""))
    try:
        found = Metadata.model_validate(content)
    except ValidationError as error:
        problems += [_problem(one) for one in error.errors(include_url=False)]
    if problems:
        raise BadSubmission(str(path), problems)
    return found


def json_schema() -> dict[str, Any]:
    """The same rules as JSON Schema, for editors and other tools."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Metadata.model_json_schema(by_alias=True)}


def _problem(error: Any) -> Problem:  # noqa: ANN401
    """One complaint of pydantic in our words."""
    where = ".".join(map(str, error["loc"]))
    last = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        if last in RESERVED:
            return Problem("reserved-key", printable(where), "is said by the grader alone", "leave it out")
        known = _keys(error["loc"][:-1])
        meant = closest(last, known)
        hint = f"did you mean {quoted(meant)}? " if meant else ""
        return Problem("unknown-key", printable(where), "is no key", f"{hint}known are {', '.join(known)}")
    if error["type"] == "missing":
        return Problem("missing-key", printable(where), "is missing", "add it")
    plain = isinstance(error["input"], str | int | float | bool)
    found = f"got {quoted(error['input'])}" if plain else "does not fit"
    return Problem("bad-value", printable(where), found, printable(error["msg"]))


def _keys(place: tuple[str | int, ...]) -> list[str]:
    """The keys that are known where an unknown one was found."""
    models: dict[tuple[str | int, ...], type[BaseModel]] = {
        (): Metadata,
        ("method",): Method,
        ("training",): Training,
        ("claimed",): Claimed,
    }
    model = models.get(place, Metadata)
    return [field.alias or name for name, field in model.model_fields.items()]


def _strange_texts(value: object, where: str) -> list[Problem]:
    """Texts and keys that a terminal or a page could not show as they are, or would show as another's."""
    if isinstance(value, dict):
        found = []
        for key, part in value.items():
            own = f"{where}.{key}".lstrip(".")
            if fault := _text_fault(key):
                found.append(Problem("strange-text", own, f"the key {quoted(key)} {fault}", "plain text"))
            found += _strange_texts(part, own)
        return found
    if isinstance(value, list):
        return [one for place, part in enumerate(value) for one in _strange_texts(part, f"{where}[{place}]")]
    fault = _text_fault(value.replace("\n", " ")) if isinstance(value, str) else None
    return [Problem("strange-text", where, f"{quoted(value)} {fault}", "plain text")] if fault else []


def _text_fault(text: str) -> str | None:
    r"""What is wrong with how a text looks; None for nothing.

    >>> _text_fault("Zoë Łukasiewicz, 山田　太郎")
    >>> _text_fault("piq\u200bbench")
    'has characters that cannot be seen'
    """
    if BLANK.search(text) or any(unicodedata.category(one) in UNSEEN for one in text):
        return "has characters that cannot be seen"
    n_marks = 0
    for one in text:
        n_marks = n_marks + 1 if unicodedata.category(one) in ("Mn", "Me") else 0
        if n_marks > MOST_MARKS:
            return f"has more than {MOST_MARKS} marks on one letter"
    return None


def _refusal(path: Path, code: str, found: str, remedy: str) -> BadSubmission:
    return BadSubmission(str(path), [Problem(code, FILE, found, remedy)])
