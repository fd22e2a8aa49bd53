"""Reads result.json, the grader's result of an entry, and checks that its numbers were not edited.

Three checks detect an edited number: the digest covers every number of a result with full disclosure, the ledger holds
a hash of the published score, and scores are computed again wherever the predictions are available (see `rank`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from piq_bench.board.wording import located
from piq_bench.documents import parse_json
from piq_bench.errors import printable
from piq_bench.report.json import digest

SCHEMA = "piq-bench/result/1"
MAX_BYTES = 16 << 20
MAX_REASON = 200  # characters
DIGESTED_UP_TO = "software"  # first key of a score file that its digest does not cover

Fraction = Annotated[float, Field(ge=0, le=1)] | None
Ends = Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2, max_length=2)] | None
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Reid(_Part):
    macro_map: Fraction
    macro_rank1: Fraction


class _Intervals(_Part):
    piq: Ends
    aspects: dict[str, Ends]
    reid: dict[str, Ends]
    f1: dict[str, Ends]


class _Submission(_Part):
    content: Hash


class _Benchmark(_Part):
    name: str
    version: str
    fingerprint: Hash


class _Protocol(_Part):
    ap: str
    exclude: list[str]
    digest: Hash


class _File(_Part):
    sha256: Hash | None


class _Score(_Part):
    """The parts of a score file that the leaderboard shows."""

    piq: Fraction
    aspects: dict[str, Fraction]
    reid: _Reid | None
    f1: dict[str, Fraction]
    intervals: _Intervals | None
    submission: _Submission
    benchmark: _Benchmark
    protocol: _Protocol
    file: _File


class _Result(_Part):
    disclosure: str
    score: _Score


def read_result(path: Path) -> Mapping[str, Any] | None:
    """Read and validate a result that the grader wrote; None if there is no file.

    Raises:
        ValueError: if the file is not a valid result, or its numbers do not match its digest.
    """
    if not path.exists():
        return None
    if path.is_symlink() or path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} is not a regular file of at most {MAX_BYTES} bytes")
    document = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"it is not a {SCHEMA} file")
    try:
        _Result.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(printable(located(first), MAX_REASON)) from None
    if (
        document["disclosure"] == "full"
        and published_digest(document["score"]) != document["score"]["protocol"]["digest"]
    ):
        raise ValueError("its numbers do not match its digest")
    return document


def published_digest(score: Mapping[str, Any]) -> str:
    """SHA-256 of the published part of a score file, at any level of disclosure; at full disclosure, its digest."""
    keys = list(score)
    parts = {key: score[key] for key in keys[: keys.index(DIGESTED_UP_TO)]} if DIGESTED_UP_TO in keys else dict(score)
    parts["protocol"] = {key: value for key, value in score["protocol"].items() if key != "digest"}
    return digest(parts)


def valid_published_digest(path: Path) -> str | None:
    """`published_digest` of a result that the grader wrote; None if there is no valid one."""
    try:
        document = read_result(path)
    except (OSError, ValueError):
        return None
    return None if document is None else published_digest(document["score"])
