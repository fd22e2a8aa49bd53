"""Grades an entry: scores it again, checks its claims to the last bit, and compares it with the other entries.

The author gets a ready claim of what was computed, and is told which values of the guide's example are still there.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from piq_bench.board.entries import RESULT, Entry, entries_in, read_entry
from piq_bench.board.metadata import FILE as METADATA
from piq_bench.board.metadata import Metadata
from piq_bench.board.near_copies import near_copies
from piq_bench.board.result import SCHEMA, read_result
from piq_bench.errors import BadInput, BadUsage, Problem, first_few, printable, quoted
from piq_bench.read.submission import read_submission
from piq_bench.read.validate import MAX_PATH
from piq_bench.records import Benchmark, Submission
from piq_bench.report.disclosure import disclosed_document
from piq_bench.report.json import score_document
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import require_numbers, score

# The values of metadata.toml in submissions/README.md that every author must replace.
PLACEHOLDERS: Mapping[str, object] = {
    "name": "my model",
    "team": "my group",
    "authors": ["A. Author", "B. Author"],
    "code": "https://example.org/my-model",
    "method.summary": "What it is, in one or two sentences.",
}


@dataclass(frozen=True)
class Claim:
    """A value that the author claims, and the value that the grader computed."""

    name: str
    claimed: float | str
    computed: float | str | None

    @property
    def holds(self) -> bool:
        """Whether both values are equal to the last bit."""
        return self.claimed == self.computed


@dataclass(frozen=True, eq=False)
class Grade:
    """The grader's findings about an entry.

    Attributes:
        entry: id of the entry.
        status: "scored", or "partial" if it has no PIQ.
        claims: every claimed value.
        copies: ids of entries with identical predictions.
        warnings: findings for a maintainer to check.
        document: the score file as plain values.
    """

    entry: str
    status: str
    claims: tuple[Claim, ...]
    copies: tuple[str, ...]
    warnings: tuple[str, ...]
    document: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every claim holds and no other entry has identical predictions."""
        return not self.copies and all(claim.holds for claim in self.claims)


def grade(
    benchmark: Benchmark,
    entry: Entry,
    others: Sequence[Path] = (),
    *,
    predictions: Path | None = None,
    partial: bool = True,
    n_resamples: int = 1000,
    engine: Engine = plain.count_ranks,
    engine_name: str = plain.ENGINE,
    advance: Callable[[int], None] = lambda steps: None,
) -> Grade:
    """Grade an entry.

    Args:
        benchmark: benchmark to score against.
        entry: entry to grade.
        others: folders to compare with; the entry's own is skipped, and unreadable ones only cause a warning.
        predictions: the fetched file, for an entry whose predictions are hosted elsewhere.
        partial: whether the entry may leave tasks out.
        n_resamples: number of bootstrap resamples for the intervals; 0 for no intervals.
        engine: retrieval engine, as for `scoring.score`.
        engine_name: name of the engine in the score file.
        advance: called with the number of queries finished since the last call.

    Raises:
        BadUsage: if the predictions are hosted elsewhere and were not fetched.
        BadSubmission: with every problem of the predictions.
    """
    path = entry.submission or predictions
    if path is None:
        where = "are elsewhere" if entry.reference is None else f"are at {quoted(entry.reference.url)}"
        raise BadUsage(
            entry.id, [Problem("elsewhere", "predictions", where, "fetch them with --fetch, if you trust this address")]
        )
    notes: list[str] = []
    submission = read_submission(path, benchmark, partial=partial, tell=notes.append)
    result = score(
        benchmark, submission, n_resamples=n_resamples, engine=engine, engine_name=engine_name, advance=advance
    )
    require_numbers(result)
    document = _document(entry, result)
    copies, warnings = _compared(benchmark, entry, submission, [folder for folder in others if folder.name != entry.id])
    return Grade(
        entry=entry.id,
        status="partial" if result.piq is None else "scored",
        claims=tuple(_claims(entry, document)),
        copies=tuple(copies),
        warnings=(*notes, *_placeholders(entry.metadata), *warnings),
        document=document,
    )


def claim_block(grade: Grade) -> str:
    """The lines of metadata.toml that claim what was computed; empty if the entry's own claims say it already.

    >>> document = {"piq": 0.5, "protocol": {"digest": "0f"}}
    >>> print(claim_block(Grade("mine", "scored", (), (), (), document)))
    [claimed]
    piq = 0.5
    digest = "0f"
    """
    if grade.claims and all(claim.holds for claim in grade.claims):
        return ""
    piq = grade.document["piq"]
    return "\n".join(
        ["[claimed]", *([] if piq is None else [f"piq = {piq!r}"]), f'digest = "{_digest(grade.document)}"']
    )


def refuse_folder_of_entries(folder: Path) -> None:
    """Raise BadUsage if a folder is no entry but holds some; entries without a result come first in the message."""
    if not folder.is_dir() or (folder / METADATA).exists():
        return
    found = [path for path in entries_in(folder) if (path / METADATA).is_file()]
    if not found:
        return
    found.sort(key=lambda path: (path / RESULT).exists())  # keeps the order of names
    holds = f"holds {len(found)} {'entries' if len(found) > 1 else 'entry'}: "
    holds += first_few([path.name for path in found], len(found))
    remedy = f"name one of them: piq grade {printable(found[0], MAX_PATH)}"
    raise BadUsage(str(folder), [Problem("many-entries", "ENTRY", holds, remedy)])


def result_json(grade: Grade, disclosure: str = "full") -> str:
    """The text of result.json, without what the level of disclosure hides."""
    score = disclosed_document(grade.document, disclosure)
    document = {
        "schema": SCHEMA,
        "entry": grade.entry,
        "status": grade.status,
        "disclosure": disclosure,
        "claims": [
            {"name": claim.name, "claimed": claim.claimed, "computed": claim.computed, "holds": claim.holds}
            for claim in grade.claims
        ],
        "copies": list(grade.copies),
        "warnings": list(grade.warnings),
        "score": score,
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _document(entry: Entry, result: Score) -> Mapping[str, Any]:
    """The score file; with the intervals of earlier versions if the entry claims the digest that they gave."""
    document = score_document(result)
    earlier = score_document(replace(result, intervals=result.earlier_intervals))
    claims_earlier = entry.metadata.claimed.digest == _digest(earlier)
    return earlier if claims_earlier else document


def _digest(document: Mapping[str, Any]) -> str:
    return str(document["protocol"]["digest"])


def _placeholders(metadata: Metadata) -> list[str]:
    """A warning that names every value of the guide's example that the author has not replaced; empty for none."""
    content = metadata.model_dump(mode="json")
    values = {"method.summary": content["method"]["summary"], **content}
    kept = [key for key, value in PLACEHOLDERS.items() if values[key] == value]
    return [f"{METADATA} still has the values of the guide's example: {', '.join(kept)}"] if kept else []


def _claims(entry: Entry, document: Mapping[str, Any]) -> list[Claim]:
    claimed = entry.metadata.claimed
    found: list[Claim] = []
    if claimed.piq is not None:
        found.append(Claim("piq", claimed.piq, document["piq"]))
    for part, values in (("aspects", claimed.aspects), ("reid", claimed.reid), ("f1", claimed.f1)):
        computed = document[part] or {}
        found += [Claim(f"{part}.{name}", value, computed.get(name)) for name, value in values.items()]
    if claimed.digest is not None:
        found.append(Claim("digest", claimed.digest, document["protocol"]["digest"]))
    return found


def _compared(
    benchmark: Benchmark, entry: Entry, own: Submission, others: Sequence[Path]
) -> tuple[list[str], list[str]]:
    """Ids of entries with identical predictions, and warnings about near copies and confusable names."""
    copies: list[str] = []
    warnings: list[str] = []
    for folder in others:
        try:
            other_entry = read_entry(folder)
            if _folded(other_entry.metadata.name) == _folded(entry.metadata.name):
                warnings.append(f"name: equals or resembles the name of {folder.name}")
            if other_entry.submission is None:
                if _graded_content(other_entry) == own.content:
                    copies.append(folder.name)
                continue
            other = read_submission(other_entry.submission, benchmark, partial=True)
        except BadInput as refusal:
            warnings.append(f"{folder.name} was not compared: {printable(refusal.problems[0].found)}")
            continue
        if other.content == own.content:
            copies.append(folder.name)
            continue
        warnings += near_copies(benchmark, own, other, folder.name)
    return copies, warnings


def _folded(name: str) -> str:
    """A name without differences that readers overlook: case, blanks, full-width or half-width letters."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _graded_content(entry: Entry) -> str | None:
    """Content hash that the grader recorded for predictions hosted elsewhere; None if there is no valid result."""
    try:
        result = read_result(entry.result)
        return None if result is None else str(result["score"]["submission"]["content"])
    except (KeyError, TypeError, ValueError):
        return None
