"""Records every scoring in an append-only ledger, and decides what a scoring on hidden labels may reveal.

The ledger is a file with one line of JSON per scoring. Each line carries the SHA-256 of the line before it, so reading
the file detects lines that were edited, moved or removed. It cannot detect lines removed from the end; for that
purpose the hash of the last line is printed.

On a hidden test set every published score reveals something about the labels. Two rules limit this. A budget caps the
number of scorings of one benchmark. The Ladder (Blum and Hardt, The Ladder: A Reliable Leaderboard for Machine Learning
Competitions, 2015) publishes only the best PIQ so far, and updates it only if an entry exceeds it by more than a step.
As in the parameter-free variant of that paper, the step follows from the entry's own uncertainty: here it is half the
width of the entry's 95% interval.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from piq_bench.board.wording import located
from piq_bench.errors import BadUsage, LimitExceeded, Problem, printable
from piq_bench.write.files import written_whole
from piq_bench.write.locks import exclusive_lock

FILE = "ledger.jsonl"
MAX_BYTES = 64 << 20
START = "0" * 64  # the first line has no line before it and carries this
PUBLISHED_DIGITS = 3  # decimals of the published best, so that it does not reveal a score to the last bit
REASON = 300  # largest number of characters of a reason
REMEDY = "restore the unedited ledger, for example from git"

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Line(BaseModel):
    """One line of the ledger: a scoring and its outcome.

    Attributes:
        number: line number, from 1.
        previous: SHA-256 of the line before, without its line break.
        date: time of the scoring, in UTC.
        entry: id of the entry.
        fingerprint: fingerprint of the benchmark.
        content: SHA-256 of the predictions.
        digest: digest of the score; None with the Ladder, which does not publish the score.
        decision: "accepted" or "refused"; with the Ladder "best" or "not better" instead of "accepted".
        reason: reason for the decision.
        best: published best PIQ after this line; None without the Ladder.
        told: SHA-256 of the score published in the entry's result (`published_digest`); None if no result was written,
            and in lines of earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    number: Annotated[int, Field(ge=1)]
    previous: Hash
    date: str
    entry: str
    fingerprint: Hash
    content: Hash
    digest: Hash | None
    decision: Literal["accepted", "refused", "best", "not better"]
    reason: str
    best: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None
    told: Hash | None = None


@dataclass(frozen=True)
class Scoring:
    """A scoring to be recorded.

    Attributes:
        entry: id of the entry.
        fingerprint: fingerprint of the benchmark.
        content: SHA-256 of the predictions.
        digest: digest of the score.
        refusal: reason why the entry was refused; empty if it was not.
        published: SHA-256 of the score published in the entry's result; None if no result is written.
    """

    entry: str
    fingerprint: str
    content: str
    digest: str
    refusal: str
    published: str | None = None


@dataclass(frozen=True)
class LadderEntry:
    """An entry as the Ladder sees it.

    Attributes:
        piq: PIQ of the entry, in [0, 1].
        step: the entry becomes the new best only if its PIQ exceeds the published best by more than this.
    """

    piq: float
    step: float


def read_ledger(path: Path) -> tuple[Line, ...]:
    """Read and verify all lines; a missing file has none.

    Raises:
        BadUsage: naming every invalid line and every line that does not carry the hash of the line before it.
    """
    return tuple(_checked(path, _text(path)))


def count_scorings(lines: Sequence[Line], fingerprint: str) -> int:
    """Number of scorings of one benchmark so far, whatever their outcome."""
    return sum(line.fingerprint == fingerprint for line in lines)


def unfinished_line(lines: Sequence[Line], entry: str, fingerprint: str, published: str | None) -> Line | None:
    """The line of a grading that ended, as by a power failure, before it wrote the result; None if there is none.

    Args:
        lines: all lines.
        entry: id of the entry.
        fingerprint: fingerprint of the benchmark.
        published: SHA-256 of the score in the entry's result (`published_digest`); None if there is no valid result.
    """
    own = [line for line in lines if (line.entry, line.fingerprint) == (entry, fingerprint)]
    return own[-1] if own and own[-1].told not in (None, published) else None


def check_budget(
    path: Path, fingerprint: str, budget: int | None, *, entry: str = "", published: str | None = None
) -> None:
    """Check before scoring that the budget of a benchmark allows one more scoring.

    An unfinished grading of the entry may be repeated: its line is already counted.

    Args:
        path: file of the ledger.
        fingerprint: fingerprint of the benchmark.
        budget: largest number of scorings of one benchmark; None for no limit.
        entry: id of the entry to be scored.
        published: SHA-256 of the score in its result; None if there is none.

    Raises:
        LimitExceeded: if the budget is used up.
        BadUsage: if the ledger was edited.
    """
    lines = read_ledger(path)
    if unfinished_line(lines, entry, fingerprint, published) is None:
        _check_budget(path, lines, fingerprint, budget)


def best_of(lines: Sequence[Line], fingerprint: str) -> float | None:
    """The last published best PIQ of one benchmark; None if there is none yet."""
    published = [line.best for line in lines if line.fingerprint == fingerprint and line.best is not None]
    return published[-1] if published else None


def new_best(best: float | None, ladder: LadderEntry) -> float | None:
    """The new best PIQ to publish; None if the published best stays.

    >>> new_best(0.470, LadderEntry(piq=0.4949, step=0.02))
    0.495
    >>> new_best(0.480, LadderEntry(piq=0.4949, step=0.02)) is None  # better, but not by the step
    True
    """
    if best is not None and ladder.piq <= best + ladder.step:
        return None
    return round(ladder.piq, PUBLISHED_DIGITS)


def record(
    path: Path,
    scoring: Scoring,
    *,
    ladder: LadderEntry | None = None,
    budget: int | None = None,
    published: str | None = None,
) -> tuple[Line, str]:
    """Append a scoring to the ledger. The caller publishes nothing about the scoring before this returns.

    Nothing is appended if the entry's last line records this very scoring and its result was never written.

    Args:
        path: file of the ledger; created if it does not exist.
        scoring: the scoring to record.
        ladder: PIQ and step of the entry, to apply the Ladder; None to grade without it.
        budget: largest number of scorings of one benchmark; None for no limit.
        published: SHA-256 of the score in the entry's result as it is now; None if there is none.

    Returns:
        The line, and its SHA-256.

    Raises:
        LimitExceeded: if other runs have used up the budget in the meantime.
        BadUsage: if the ledger was edited.
    """
    with exclusive_lock(path.parent):
        text = _text(path)
        lines = _checked(path, text)
        raw_lines = _split(text)
        unfinished = unfinished_line(lines, scoring.entry, scoring.fingerprint, published)
        if unfinished is not None and _records(unfinished, scoring):
            return unfinished, _hash(raw_lines[unfinished.number - 1])
        _check_budget(path, lines, scoring.fingerprint, budget)
        best = best_of(lines, scoring.fingerprint) if ladder is not None else None
        decision: Literal["accepted", "refused", "best", "not better"] = "accepted"
        reason = "scored again; every compared claim holds and no copy was found"
        if scoring.refusal:
            decision, reason = "refused", scoring.refusal
        elif ladder is not None:
            higher = new_best(best, ladder)
            decision = "not better" if higher is None else "best"
            reason = (
                "does not exceed the best by more than the step"
                if higher is None
                else "exceeds the best by more than the step, or is the first"
            )
            best = best if higher is None else higher
        line = Line(
            number=len(lines) + 1,
            previous=_hash(raw_lines[-1]) if raw_lines else START,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            entry=scoring.entry,
            fingerprint=scoring.fingerprint,
            content=scoring.content,
            digest=None if ladder is not None else scoring.digest,
            decision=decision,
            reason=printable(reason, REASON),
            best=best,
            told=scoring.published,
        )
        raw = json.dumps(line.model_dump())
        with written_whole(path) as temporary:
            temporary.write_text(f"{text}{raw}\n", encoding="ascii", newline="\n")
    return line, _hash(raw)


def _records(line: Line, scoring: Scoring) -> bool:
    """Whether a line records exactly this scoring, accepted."""
    recorded = (line.content, line.digest, line.told, line.decision)
    return recorded == (scoring.content, scoring.digest, scoring.published, "accepted")


def _text(path: Path) -> str:
    if not path.exists() and not path.is_symlink():
        return ""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
        found = f"is not a regular file of at most {MAX_BYTES:,} bytes"
        raise BadUsage(str(path), [Problem("no-ledger", path.name, found, "the ledger that `piq grade` writes")])
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        found = f"cannot be read: {printable(error)}"
        raise BadUsage(
            str(path), [Problem("no-ledger", path.name, found, "the ledger that `piq grade` writes")]
        ) from None


def _checked(path: Path, text: str) -> list[Line]:
    """The lines of a text, each verified against the line before it."""
    lines: list[Line] = []
    problems: list[Problem] = []
    previous = START
    for number, raw in enumerate(_split(text), 1):
        where = f"line {number}"
        try:
            line = Line.model_validate_json(raw)
        except ValidationError as error:
            fault = printable(located(error.errors()[0]), REASON)
            problems.append(Problem("no-line", where, f"is not a valid line: {fault}", REMEDY))
        else:
            if line.previous != previous or line.number != number:
                found = (
                    "does not carry the hash of the line before it" if line.previous != previous else "is misnumbered"
                )
                problems.append(Problem("broken-chain", where, found, REMEDY))
            lines.append(line)
        previous = _hash(raw)
    if text and not text.endswith("\n"):
        problems.append(Problem("torn-line", f"line {len(_split(text))}", "has no line break at its end", REMEDY))
    if problems:
        raise BadUsage(str(path), problems)
    return lines


def _check_budget(path: Path, lines: Sequence[Line], fingerprint: str, budget: int | None) -> None:
    if budget is not None and (n := count_scorings(lines, fingerprint)) >= budget:
        found = f"{n} of {budget} scorings of this benchmark are used up"
        raise LimitExceeded(
            str(path), [Problem("budget", "--budget", found, "wait for the organiser to raise the budget")]
        )


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode("ascii")).hexdigest()
