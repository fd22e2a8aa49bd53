"""An entry to its grade: what it reaches, computed anew; what it claims, to the last bit; and whether it is a copy."""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piq_bench.board.entries import Entry, read_entry
from piq_bench.board.near_copies import near_copies
from piq_bench.board.result import SCHEMA, read_result
from piq_bench.errors import BadInput, BadUsage, Problem, printable, quoted
from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark, Submission
from piq_bench.report.disclosure import disclosed_document
from piq_bench.report.json import score_document
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.score import require_numbers, score


@dataclass(frozen=True)
class Claim:
    """One number that the author gave, beside ours."""

    name: str
    claimed: float | str
    computed: float | str | None

    @property
    def holds(self) -> bool:
        """To the last bit."""
        return self.claimed == self.computed


@dataclass(frozen=True, eq=False)
class Grade:
    """What the grader says of an entry.

    Attributes:
        entry: its id.
        status: "scored", or "partial" where PIQ is missing.
        claims: every number claimed.
        copies: ids of entries with the same predictions.
        warnings: what a maintainer should look at.
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
        """Whether every claim holds and the entry is nobody's copy."""
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
        benchmark: to score against.
        entry: whose form is right.
        others: folders of the other entries; those that cannot be read are passed over with a warning.
        predictions: those of an entry that only refers to them.
        partial: whether an entry may leave tasks out.
        n_resamples: of the intervals.
        engine: as for `scoring.score`.
        engine_name: likewise.
        advance: likewise.

    Raises:
        BadUsage: if the predictions lie elsewhere and were not fetched.
        BadSubmission: with everything that is wrong with the predictions.
    """
    own = entry.submission or predictions
    if own is None:
        where = "lie elsewhere" if entry.reference is None else f"lie at {quoted(entry.reference.url)}"
        raise BadUsage(
            entry.id, [Problem("elsewhere", "predictions", where, "fetch them with --fetch, if you trust it")]
        )
    submission = read_submission(own, benchmark, partial=partial)
    found = score(
        benchmark, submission, n_resamples=n_resamples, engine=engine, engine_name=engine_name, advance=advance
    )
    require_numbers(found)
    document = score_document(found)
    copies, warnings = _compared(benchmark, entry, submission, [path for path in others if path.name != entry.id])
    return Grade(
        entry=entry.id,
        status="partial" if found.piq is None else "scored",
        claims=tuple(_claims(entry, document)),
        copies=tuple(copies),
        warnings=tuple(warnings),
        document=document,
    )


def result_json(grade: Grade, disclosure: str = "full") -> str:
    """The text of an entry's result.json."""
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
    """Entries with the same content, and warnings of those that are much alike."""
    copies: list[str] = []
    warnings: list[str] = []
    for folder in others:
        try:
            beside = read_entry(folder)
            if _folded(beside.metadata.name) == _folded(entry.metadata.name):
                warnings.append(f"name: it is, or looks like, that of {folder.name}")
            if beside.submission is None:
                if _graded_content(beside) == own.content:
                    copies.append(folder.name)
                continue
            other = read_submission(beside.submission, benchmark, partial=True)
        except BadInput as refusal:
            warnings.append(f"{folder.name} was not compared: {printable(refusal.problems[0].found)}")
            continue
        if other.content == own.content:
            copies.append(folder.name)
            continue
        warnings += [f"{likeness} {folder.name}" for likeness in near_copies(benchmark, own, other)]
    return copies, warnings


def _folded(name: str) -> str:
    """A name without what hardly shows: capitals, kinds of blanks, wide or narrow letters."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _graded_content(entry: Entry) -> str | None:
    """SHA-256 of predictions that lie elsewhere, as they were when they were graded."""
    try:
        result = read_result(entry.result)
        return None if result is None else str(result["score"]["submission"]["content"])
    except (KeyError, TypeError, ValueError):
        return None
